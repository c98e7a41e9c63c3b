import type { CredentialKind } from '../../schemas/credential.ts'
import { streams } from '../../schemas/events.ts'
import type { Actor } from '../../schemas/kernel.ts'
import type { ParameterValues } from '../../schemas/parameters.ts'
import {
  type CommandOf,
  type CredentialStanding,
  chosenSelection,
  chosenVersion,
  DomainError,
  type FactsOf,
  isFinished,
  isOthers,
  type Job,
  type KnownRun,
  MAX_TARGETS,
  type RunFacts,
} from '../domain/index.ts'
import { bindParameters } from '../domain/workflow/index.ts'
import type { Catalogue } from './catalogue.ts'
import { type AskedRun, type SafetyDeps, safetyOf } from './run-safety.ts'

type DataOf<T extends CommandOf<'run'>['type']> = Extract<CommandOf<'run'>, { type: T }>['data']
type Deps = SafetyDeps

const AT_ONCE = 64

/**
 * What deciding about a run takes beside the run itself; nothing for most commands. `actor`: who asks.
 * `check` is told what the run would be before anything is found out about it; it throws where that may not be.
 */
export async function factsForRun(
  deps: Deps,
  command: CommandOf<'run'>,
  actor: Actor,
  check: CheckRun = async () => {},
): Promise<RunFacts | undefined> {
  if (command.type === 'trigger-run') {
    const { runId, parameters = {}, version } = command.data
    const facts = await triggerFacts(deps, command.data, actor)
    const asked = { runId, initiator: actor.id, parameters, version }
    await check(facts, asked)
    return await judged(deps, facts, asked)
  }
  if (command.type !== 'rerun') return undefined
  const facts = await rerunFacts(deps, command.data, actor)
  const { parameters = {}, jobVersion: version } = facts.earlier?.requested ?? {}
  const { runId, fromStep } = command.data
  const asked = { runId, initiator: actor.id, parameters, version, fromStep }
  await check(facts, asked)
  return await judged(deps, facts, asked)
}

export type CheckRun = (facts: RunFacts, asked: Asked) => Promise<void>

export type Asked = {
  runId: string
  initiator: string
  parameters: ParameterValues
  version: number | undefined
  fromStep?: string | undefined
}

/** With what the safety checks say; without it where there is nothing to run, which the decision is about then. */
async function judged(deps: Deps, facts: RunFacts, asked: Asked): Promise<RunFacts> {
  const run = askedRun(facts, asked)
  return run ? { ...facts, safety: await safetyOf(deps, run) } : facts
}

/** The run as it is asked for; undefined where it will be refused for what it is asked with. */
export function askedRun({ job, targets }: RunFacts, asked: Asked): AskedRun | undefined {
  const version = chosenVersion(asked, job)
  if (!version || job.status !== 'enabled' || targets.length > MAX_TARGETS) return undefined
  const { runId: id, initiator, fromStep } = asked
  const { jobId, version: jobVersion } = version
  try {
    const parameters = bindParameters(version.parameters, asked.parameters)
    const run = { id, jobId, jobName: job.name, jobVersion, targets: targets.length, initiator }
    return { version, parameters, run, targetIds: targets.map(({ targetId }) => targetId), fromStep }
  } catch (error) {
    if (error instanceof DomainError) return undefined
    throw error
  }
}

async function triggerFacts(
  { dispatcher, catalogue }: Deps,
  data: DataOf<'trigger-run'>,
  actor: Actor,
): Promise<RunFacts> {
  const [{ state: job }] = await Promise.all([dispatcher.load('job', streams.job(data.jobId)), catalogue.current()])
  const selection = chosenSelection(data, job)
  const targets = selection ? catalogue.select(selection) : []
  return { job, targets, ...standings(catalogue, actor, job, targets, data.parameters) }
}

async function rerunFacts(deps: Deps, { of, only }: DataOf<'rerun'>, actor: Actor): Promise<RunFacts> {
  const { dispatcher, catalogue } = deps
  const { state: earlier } = await dispatcher.load('run', streams.run(of))
  if (earlier.status === 'absent') return { job: { status: 'absent' }, targets: [], credentials: new Map() }
  const [{ state: job }] = await Promise.all([
    dispatcher.load('job', streams.job(earlier.requested.jobId)),
    catalogue.current(),
  ])
  const targetIds = only === 'failed' ? await unsuccessful(deps, of, earlier) : earlier.targetIds
  const targets = targetIds.length > 0 ? catalogue.select({ targetIds: [...targetIds] }) : []
  const known = standings(catalogue, actor, job, targets, earlier.requested.parameters)
  return { job, targets, ...known, earlier: { requested: earlier.requested, targetIds, gates: earlier.gates } }
}

/** Targets on which the run failed, was cancelled or, once it has ended, never came to anything. */
async function unsuccessful({ dispatcher }: Deps, runId: string, run: KnownRun): Promise<string[]> {
  const over = isFinished(run)
  const found: string[] = []
  for (let from = 0; from < run.targetIds.length; from += AT_ONCE) {
    const some = run.targetIds.slice(from, from + AT_ONCE)
    const states = await Promise.all(
      some.map((_, i) => dispatcher.load('targetRun', streams.targetRun(runId, from + i)).then(({ state }) => state)),
    )
    for (const [i, { status }] of states.entries()) {
      const targetId = some[i]
      const failed = status === 'failed' || status === 'cancelled' || (over && status !== 'succeeded')
      if (targetId !== undefined && failed) found.push(targetId)
    }
  }
  return found
}

/** What the run says about one of its target runs. */
export async function factsForTargetRun(
  { dispatcher }: Pick<Deps, 'dispatcher'>,
  { runId, n }: { runId: string; n: number },
): Promise<FactsOf<'targetRun'>> {
  const { state } = await dispatcher.load('run', streams.run(runId))
  if (state.status === 'absent') return { targetId: undefined, runFinished: false }
  return { targetId: state.targetIds[n], runFinished: isFinished(state) }
}

/** Of every credential that the run may need: to log in with, or because a parameter names it. */
function standings(
  catalogue: Catalogue,
  actor: Actor,
  job: Job,
  targets: RunFacts['targets'],
  parameters: ParameterValues = {},
): Pick<RunFacts, 'credentials' | 'kinds'> {
  const ofJob = job.status === 'absent' ? [] : job.versions.map(v => v.credentialId)
  const credentials = new Map<string, CredentialStanding>()
  const kinds = new Map<string, CredentialKind>()
  for (const id of new Set([...ofJob, ...targets.map(t => t.credentialId), ...Object.values(parameters)])) {
    const known = typeof id === 'string' ? catalogue.credential(id) : undefined
    if (typeof id !== 'string' || !known) continue
    credentials.set(id, isOthers(known.owner, actor) ? 'not-yours' : known.status)
    kinds.set(id, known.kind)
  }
  return { credentials, kinds }
}
