import { createHmac } from 'node:crypto'
import type { Clock } from '../infra/clock.ts'
import { type EventStore, type NewEvent, SecretInEvent, WrongRevision } from '../infra/event-store/port.ts'
import type { Principal } from '../infra/http/index.ts'
import { derivedId, type Ids } from '../infra/ids.ts'
import type { CommandRecordEvent } from '../schemas/command-record.ts'
import { type Recorded, streams } from '../schemas/events.ts'
import type { Meta } from '../schemas/kernel.ts'
import { type ProblemCode, ProblemError, problems } from '../schemas/problems.ts'
import { canonicalJson } from './canonical-json.ts'
import type { Answer } from './dispatch.ts'
import { withPatience } from './patience.ts'

/** What an Idempotency-Key stands for, and what came of it if that left no events of its own. */
export type CommandRecord = { stream: string; isNew: boolean; outcome: Answer | ProblemError | undefined }
type Rejected = Extract<CommandRecordEvent, { type: 'CommandRejected' }>['data']
type Received = Extract<CommandRecordEvent, { type: 'CommandReceived' }>['data']

/** The command a key stands for: the same key of the same principal is the same command. */
export const keyedCommandId = (principal: Pick<Principal, 'actor'>, key: string): string =>
  derivedId('idempotency-key', principal.actor.kind, principal.actor.id, key)

/**
 * Pins a body without giving it away. The digest goes into the log for ever and a body may hold a weak password, so it
 * is keyed with what follows from the caller's API key: who has the log alone cannot try out guesses, and only the
 * holder of the same API key can send the repeat that it is compared with.
 */
export const bodyDigest = (principal: Principal, body: unknown): string =>
  createHmac('sha256', principal.digestKey()).update(canonicalJson(body)).digest('hex')

type Deps = { store: EventStore; clock: Clock; ids: Ids }

/**
 * Writes down what the key stands for, or finds what it stood for before.
 * @throws ProblemError idempotency-key-reused when that was something else.
 */
export async function openRecord({ store, clock, ids }: Deps, received: Received, meta: Meta): Promise<CommandRecord> {
  const stream = streams.command(received.commandId)
  try {
    const event = newEvent(ids, { type: 'CommandReceived', data: received }, meta)
    await withPatience(clock, () => store.append(stream, [event], 'none'))
    return { stream: received.stream, isNew: true, outcome: undefined }
  } catch (error) {
    if (!(error instanceof WrongRevision)) throw error
    const { events } = await withPatience(clock, () => store.read(stream))
    return known(events, received)
  }
}

function known(events: readonly Recorded[], asked: Received): CommandRecord {
  const [first, second] = events
  if (first?.type !== 'CommandReceived') throw new Error(`the record of the command ${asked.commandId} is damaged`)
  if (first.data.bodyDigest !== asked.bodyDigest || first.data.command !== asked.command)
    throw new ProblemError('idempotency-key-reused')
  return { stream: first.data.stream, isNew: false, outcome: outcomeOf(second, first.data.stream) }
}

function outcomeOf(event: Recorded | undefined, stream: string): CommandRecord['outcome'] {
  if (event?.type === 'CommandChangedNothing') {
    const { commandId, revision, position } = event.data
    return { commandId, stream, revision, position, events: [] }
  }
  if (event?.type !== 'CommandRejected') return undefined
  const { code, detail, errors } = event.data
  return new ProblemError(isProblemCode(code) ? code : 'internal', detail === '' ? undefined : detail, errors)
}

const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(problems, code)

const MOST_ERRORS = 100
const MOST_CHARACTERS = 16_000

/** A refusal that fits into the log: what does not is counted. */
export function bounded({ code, detail, errors }: ProblemError): ProblemError {
  if (!errors) return new ProblemError(code, detail)
  let room = MOST_CHARACTERS
  const told = errors.slice(0, MOST_ERRORS).filter(({ path, message }) => {
    room -= path.length + message.length
    return room >= 0
  })
  const more = errors.length - told.length
  return new ProblemError(code, detail, more > 0 ? [...told, { path: '', message: `and ${more} more` }] : told)
}

/**
 * Records a refusal; answers it as it is to be told, now and whenever the request is repeated. One that quotes what must
 * not be in the log is told without its reasons.
 */
export async function recordRejection(
  deps: Deps,
  refused: Pick<Rejected, 'commandId' | 'command' | 'stream'>,
  error: ProblemError,
  meta: Meta,
): Promise<ProblemError> {
  const record = async (told: ProblemError) => {
    const { code, detail = '', errors } = told
    const data = { ...refused, code, detail, ...(errors && { errors }) }
    await recordOutcome(deps, { type: 'CommandRejected', data }, meta)
    return told
  }
  try {
    return await record(bounded(error))
  } catch (failure) {
    if (!(failure instanceof SecretInEvent)) throw failure
    return await record(new ProblemError(error.code, 'Why is not told: it quotes what looks like a secret'))
  }
}

/** Records an outcome that left no event, so that a repeat gets the same answer even when the state has moved on. */
export async function recordOutcome(
  { store, clock, ids }: Deps,
  outcome: Extract<CommandRecordEvent, { type: 'CommandChangedNothing' | 'CommandRejected' }>,
  meta: Meta,
): Promise<void> {
  const event = newEvent(ids, outcome, meta)
  try {
    await withPatience(clock, () => store.append(streams.command(meta.commandId), [event], 0n))
  } catch (error) {
    // Another process has answered the same request at the same moment; both decided on the log.
    if (!(error instanceof WrongRevision)) throw error
  }
}

/** A new id each time: the same one would make the event store take a second request for a repeated append. */
const newEvent = (ids: Ids, event: CommandRecordEvent, metadata: Meta): NewEvent => ({
  ...event,
  id: ids.next(),
  metadata,
})
