import type { Statement } from '../../infra/postgres.ts'
import type { Recorded } from '../../schemas/events.ts'
import type { JobEvent } from '../../schemas/job.ts'
import { diff } from '../diff.ts'
import type { Fact, Read } from '../projection.ts'
import { reasonOf } from '../reason.ts'
import { Recent } from '../recent.ts'
import { insertRows, updateRows } from '../table.ts'
import { loadWanted, WorkingRows } from '../working-rows.ts'
import { evolveResource, isVisible, type ResourceKind, resourceId, resourceKind } from './evolve.ts'
import { definitionRow } from './job.ts'
import { jobVersion, type PublishedJobVersion, type ResourceVersion, resourceVersion } from './tables.ts'

type Key = { kind: ResourceKind; id: string }
const keyColumns: ReadonlyArray<keyof Key> = ['kind', 'id']
const byResource = ({ kind, id }: Partial<Key>) => `${kind} ${id}`

/** The versions that count now, as earlier batches left them. */
export class KnownResources extends Recent<ResourceVersion> {}

/** The versions of targets, credentials and jobs that a batch of events makes. */
export class Resources {
  readonly #current
  readonly #ended: ResourceVersion[] = []
  readonly #made = new Set<ResourceVersion>()
  readonly #published: PublishedJobVersion[] = []

  private constructor(known: KnownResources) {
    this.#current = new WorkingRows<ResourceVersion>(byResource, known)
  }

  static async load(facts: readonly Fact[], read: Read, known: KnownResources): Promise<Resources> {
    const resources = new Resources(known)
    for (const { event } of facts) resources.#touch(event)
    await loadWanted(resources.#current, resourceVersion, read, keyColumns, 't.valid_to is null')
    return resources
  }

  /** Asks for what an event changes, or names; a stream's first event makes it. */
  #touch(event: Recorded): void {
    if (event.type === 'TargetsResolved') {
      for (const id of event.data.targetIds) this.#current.want({ kind: 'target', id })
    }
    const kind = resourceKind(event)
    if (!kind) return
    const touched = { kind, id: resourceId(kind, event.stream) }
    if (event.revision === 0n) this.#current.created(touched)
    else this.#current.want(touched)
  }

  /** Name and address of a target at this point of the log. */
  target(id: string): { name: string; address: string } | undefined {
    const state = this.#current.get({ kind: 'target', id })?.state
    return state && { name: String(state.name), address: String(state.address) }
  }

  apply({ event, time }: Fact): void {
    const kind = resourceKind(event)
    if (!kind) return
    const key = { kind, id: resourceId(kind, event.stream) }
    const before = this.#current.get(key)
    const state = evolveResource(kind, before?.state, event)
    const commit = event.position.commit.toString()
    const version: ResourceVersion = {
      ...key,
      revision: event.revision.toString(),
      state,
      visible: isVisible(state),
      validFrom: commit,
      validFromTime: time,
      validTo: null,
      validToTime: null,
      eventId: event.id,
      eventType: event.type,
      actor: event.metadata.actor,
      reason: reasonOf(event),
      changed: diff(before?.state, state).paths,
    }
    if (before) this.#end(before, commit, time)
    this.#current.put(version)
    this.#made.add(version)
    if (event.type === 'JobVersionPublished') this.#publish(event.data, version)
  }

  /** One of an earlier batch is left as it was: this batch may fail. */
  #end(version: ResourceVersion, validTo: string, validToTime: string): void {
    if (this.#made.has(version)) Object.assign(version, { validTo, validToTime })
    else this.#ended.push({ ...version, validTo, validToTime })
  }

  #publish(data: Extract<JobEvent, { type: 'JobVersionPublished' }>['data'], from: ResourceVersion): void {
    const { jobId, version, digest } = data
    this.#published.push({
      jobId,
      version,
      definition: definitionRow(data),
      digest,
      commit: from.validFrom,
      publishedAt: from.validFromTime,
      actor: from.actor,
      reason: from.reason,
    })
  }

  keep(): void {
    this.#current.keep()
  }

  statements(): Statement[] {
    return [
      ...updateRows(resourceVersion, ['validTo', 'validToTime'], this.#ended),
      ...insertRows(resourceVersion, [...this.#made]),
      ...insertRows(jobVersion, this.#published),
    ]
  }
}
