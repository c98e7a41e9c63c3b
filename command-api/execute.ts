import type { Clock } from '../infra/clock.ts'
import { type EventStore, EventStoreUnavailable } from '../infra/event-store/port.ts'
import { markTold, ProblemError, parseInput } from '../infra/http/index.ts'
import type { Ids } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import { type CommandSpec, commandStream, commands, filterCommands } from '../schemas/commands.ts'
import { categoryOf } from '../schemas/events.ts'
import type { Meta } from '../schemas/kernel.ts'
import type { ProblemCode } from '../schemas/problems.ts'
import { Denied } from './access/denied.ts'
import type { ActiveRuns } from './active-runs.ts'
import { bodyDigest, keyedCommandId, openRecord, recordOutcome, recordRejection } from './command-record.ts'
import { type DecideDeps, decideCommand, type ParsedCommand } from './decide.ts'
import { didYouMean } from './did-you-mean.ts'
import type { Answer } from './dispatch.ts'
import { planRun, type RunPlan } from './plan-run.ts'
import type { Refusals } from './refusals.ts'
import type { Envelope } from './request-meta.ts'

export type CommandDeps = DecideDeps & {
  store: EventStore
  activeRuns: ActiveRuns
  clock: Clock
  ids: Ids
  log: Log
  refusals: Refusals
}
export type Executor = (name: string, body: unknown, envelope: Envelope) => Promise<Answer | RunPlan>

/** Takes a command as it came from outside all the way to its answer. Throws ProblemError. */
export function createExecutor(deps: CommandDeps): Executor {
  const inFlight = new Set<string>()
  return async (name, body, envelope) => {
    const spec = commandSpec(name)
    if (!envelope.principal.permits(spec.permission)) throw await forbidden(deps, name, envelope)
    const data = parseInput(spec.schema, body) as Record<string, unknown>
    if (isPlanned(name) && data.mode === 'plan') return await plan(deps, name, data, envelope)
    const parsed: ParsedCommand = { decides: spec.decides, name, data }
    const run = envelope.idempotencyKey === undefined ? unkeyed : keyed
    return await run({ deps, spec, parsed, body, envelope, inFlight }).catch(error => {
      throw edgeError(error)
    })
  }
}

/** A question, not an attempt: nothing of it is recorded, unless it is about what the caller may not do. */
async function plan(
  deps: CommandDeps,
  type: PlannedName,
  data: Record<string, unknown>,
  envelope: Envelope,
): Promise<RunPlan> {
  const runId = typeof data.runId === 'string' ? data.runId : deps.ids.next()
  // The schema of that name has made it what planRun takes.
  const asked = { type, data: { ...data, runId } } as Parameters<typeof planRun>[1]
  const meta = metaOf(deps, type, envelope, deps.ids.next())
  return await planRun(deps, asked, meta, envelope.principal).catch(async error => {
    if (error instanceof Denied) await deps.refusals.record(meta, error)
    throw edgeError(error)
  })
}

type PlannedName = 'trigger-run' | 'rerun'
const isPlanned = (name: string): name is PlannedName => name === 'trigger-run' || name === 'rerun'

/** @throws ProblemError unknown-command, with the nearest name there is. */
export function commandSpec(name: string): CommandSpec {
  const spec = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (spec) return spec
  const near = didYouMean(name, [...Object.keys(commands), ...Object.keys(filterCommands)])
  throw new ProblemError('unknown-command', near && `Did you mean ${near}?`)
}

type Work = {
  deps: CommandDeps
  spec: CommandSpec
  parsed: ParsedCommand
  body: unknown
  envelope: Envelope
  inFlight: Set<string>
}

async function unkeyed({ deps, spec, parsed, envelope }: Work): Promise<Answer> {
  const { data, minted } = identified(parsed.data, spec, deps.ids)
  const meta = metaOf(deps, parsed.name, envelope, deps.ids.next())
  try {
    const rest = { meta, expected: envelope.expected, isNew: minted, holder: envelope.principal, spec }
    return await decideCommand(deps, { ...parsed, data }, rest)
  } catch (error) {
    const about = minted ? undefined : commandStream(spec, data)
    if (isRejection(error)) await deps.refusals.record(meta, error, about)
    throw error
  }
}

/** Records that somebody tried what they may not; answers the problem to throw. */
export async function forbidden(deps: CommandDeps, command: string, envelope: Envelope): Promise<ProblemError> {
  const problem = new ProblemError('forbidden')
  await deps.refusals.record(metaOf(deps, command, envelope, deps.ids.next()), problem)
  return problem
}

async function keyed(work: Work): Promise<Answer> {
  const { envelope, inFlight } = work
  const commandId = keyedCommandId(envelope.principal, envelope.idempotencyKey ?? '')
  if (inFlight.has(commandId)) throw new ProblemError('request-in-flight')
  inFlight.add(commandId)
  try {
    return await recorded(work, commandId)
  } catch (error) {
    // The key's own record tells of another request, or stays open until it is permitted: this one is told apart.
    const { deps, parsed } = work
    const ofItsOwn = error instanceof ProblemError && error.code === 'idempotency-key-reused'
    if (ofItsOwn || error instanceof Denied)
      await deps.refusals.record(metaOf(deps, parsed.name, envelope, deps.ids.next()), error)
    throw error
  } finally {
    inFlight.delete(commandId)
  }
}

/**
 * The record comes before the decision, so that a repeat after a crash at any point finds the same resource and the
 * same event ids; a decision without events is recorded before it is answered.
 */
async function recorded({ deps, spec, parsed, body, envelope }: Work, commandId: string): Promise<Answer> {
  const { data, minted } = identified(parsed.data, spec, deps.ids)
  const meta = metaOf(deps, parsed.name, envelope, commandId)
  const digest = bodyDigest(envelope.principal, { command: parsed.name, body, ifMatch: String(envelope.expected) })
  const stream = commandStream(spec, data)
  const record = await openRecord(deps, { commandId, command: parsed.name, bodyDigest: digest, stream }, meta)
  if (record.outcome instanceof ProblemError) throw record.outcome
  if (record.outcome) return record.outcome
  // A minted id is the one of the first time; any other is in the body, which is the same.
  const pinned = minted ? { ...data, [spec.idField]: record.stream.slice(categoryOf(record.stream).length + 1) } : data
  const rest = {
    ...{ meta, expected: envelope.expected, isNew: minted && record.isNew },
    ...{ holder: envelope.principal, spec },
  }
  try {
    const answer = await decideCommand(deps, { ...parsed, data: pinned }, rest)
    const { revision, position } = answer
    if (answer.events.length === 0)
      await recordOutcome(deps, { type: 'CommandChangedNothing', data: { commandId, revision, position } }, meta)
    return answer
  } catch (error) {
    if (!isRejection(error) || error instanceof Denied) throw error
    const command = parsed.name
    deps.log.info({ commandId, correlationId: meta.$correlationId, command, code: error.code }, 'command refused')
    const told = await recordRejection(deps, { commandId, command, ...(!minted && { stream }) }, error, meta)
    markTold(told)
    throw told
  }
}

function identified(data: Record<string, unknown>, { idField, creates }: CommandSpec, ids: Ids) {
  const minted = creates && data[idField] === undefined
  return { data: minted ? { ...data, [idField]: ids.next() } : data, minted }
}

/** What the log is told about a command beside its events. */
export function metaOf(
  { clock }: Pick<CommandDeps, 'clock'>,
  command: string,
  envelope: Envelope,
  commandId: string,
): Meta {
  const { principal, origin, correlationId, justification, ticket, traceparent } = envelope
  return {
    commandId,
    $correlationId: correlationId,
    $causationId: commandId,
    actor: principal.actor,
    origin,
    at: clock.now(),
    command,
    ...(justification !== undefined && { justification }),
    ...(ticket !== undefined && { ticket }),
    ...(traceparent !== undefined && { traceparent }),
  }
}

/** Not the command's fault, and over by the next try: no answer to hold on to. */
const passing = new Set<ProblemCode>(['conflict', 'vault-unavailable', 'event-store-unavailable', 'internal'])

function isRejection(error: unknown): error is ProblemError {
  return error instanceof ProblemError && !passing.has(error.code)
}

/** What went wrong, as it is told outside. */
export function edgeError(error: unknown): unknown {
  if (error instanceof Denied) return error.told
  if (!(error instanceof EventStoreUnavailable)) return error
  return new ProblemError(
    'event-store-unavailable',
    'Whether it took effect is not known; repeat it with the same Idempotency-Key',
  )
}
