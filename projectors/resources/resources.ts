import type { Statement } from '../../infra/postgres.ts'
import type { JobEvent } from '../../schemas/job.ts'
import { diff } from '../diff.ts'
import type { Fact, Read } from '../projection.ts'
import { reasonOf } from '../reason.ts'
import { insertRows, selectRows, updateRows } from '../table.ts'
import { evolveResource, isVisible, type ResourceKind, resourceId, resourceKind } from './evolve.ts'
import { jobVersion, type PublishedJobVersion, type ResourceVersion, resourceVersion } from './tables.ts'

type Key = { kind: ResourceKind; id: string }
const keyOf = ({ kind, id }: Key) => `${kind} ${id}`

/** The versions of targets, credentials and jobs that a batch of events makes. */
export class Resources {
  readonly #current = new Map<string, ResourceVersion>()
  readonly #ended: ResourceVersion[] = []
  readonly #made = new Set<ResourceVersion>()
  readonly #published: PublishedJobVersion[] = []

  static async load(facts: readonly Fact[], read: Read): Promise<Resources> {
    const keys = new Map(facts.flatMap(touched).map(key => [keyOf(key), key]))
    const resources = new Resources()
    if (keys.size === 0) return resources
    const wanted = [...keys.values()]
    const rows = await read<ResourceVersion>(selectRows(resourceVersion, ['kind', 'id'], wanted, 't.valid_to is null'))
    for (const row of rows) resources.#current.set(keyOf(row), row)
    return resources
  }

  /** Name and address of a target at this point of the log. */
  target(id: string): { name: string; address: string } | undefined {
    const state = this.#current.get(keyOf({ kind: 'target', id }))?.state
    return state && { name: String(state.name), address: String(state.address) }
  }

  apply({ event, time }: Fact): void {
    const kind = resourceKind(event)
    if (!kind) return
    const key = { kind, id: resourceId(kind, event.stream) }
    const before = this.#current.get(keyOf(key))
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
    this.#current.set(keyOf(key), version)
    this.#made.add(version)
    if (event.type === 'JobVersionPublished') this.#publish(event.data, version)
  }

  #end(version: ResourceVersion, commit: string, time: string): void {
    version.validTo = commit
    version.validToTime = time
    if (!this.#made.has(version)) this.#ended.push(version)
  }

  #publish(data: Extract<JobEvent, { type: 'JobVersionPublished' }>['data'], from: ResourceVersion): void {
    const { jobId, version, steps, selection = null, credentialId = null, maxParallel = null, digest } = data
    this.#published.push({
      jobId,
      version,
      definition: { steps, selection, credentialId, maxParallel },
      digest,
      commit: from.validFrom,
      publishedAt: from.validFromTime,
      actor: from.actor,
      reason: from.reason,
    })
  }

  statements(): Statement[] {
    return [
      ...updateRows(resourceVersion, ['validTo', 'validToTime'], this.#ended),
      ...insertRows(resourceVersion, [...this.#made]),
      ...insertRows(jobVersion, this.#published),
    ]
  }
}

function touched({ event }: Fact): Key[] {
  if (event.type === 'TargetsResolved') return event.data.targetIds.map(id => ({ kind: 'target', id }))
  const kind = resourceKind(event)
  return kind ? [{ kind, id: resourceId(kind, event.stream) }] : []
}
