import { derivedId } from '../../infra/ids.ts'
import { type AnyEvent, type Recorded, streams } from '../../schemas/events.ts'

const AT = '2026-03-01T12:00:00.000Z'

/** Events as the log would tell them: positions grow over all streams, revisions within each. */
export class History {
  #position = 0n
  readonly #revisions = new Map<string, bigint>()

  record(event: AnyEvent): Recorded {
    const stream = streamOf(event)
    const revision = (this.#revisions.get(stream) ?? -1n) + 1n
    this.#revisions.set(stream, revision)
    this.#position += 10n
    const commandId = derivedId('command', String(this.#position))
    return {
      ...event,
      id: derivedId('event', String(this.#position)),
      stream,
      revision,
      position: { commit: this.#position, prepare: this.#position },
      recordedAt: AT,
      metadata: {
        commandId,
        $correlationId: commandId,
        $causationId: commandId,
        actor: { kind: 'user', id: 'anna' },
        origin: { channel: 'cli' },
        at: AT,
        schemaVersion: 1,
      },
    }
  }
}

function streamOf({ data }: AnyEvent): string {
  if ('n' in data && 'runId' in data) return streams.targetRun(data.runId, data.n)
  if ('runId' in data && !('hostKey' in data)) return streams.run(data.runId)
  if ('jobId' in data) return streams.job(data.jobId)
  if ('targetId' in data) return streams.target(data.targetId)
  if ('credentialId' in data) return streams.credential(data.credentialId)
  throw new Error('an event of no stream this history knows')
}
