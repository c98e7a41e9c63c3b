import { streams } from '../../schemas/events.ts'
import type { Dispatcher } from '../dispatch.ts'
import {
  type CommandOf,
  chosenSelection,
  type FactsOf,
  isFinished,
  type Job,
  type KnownRun,
  type RunFacts,
} from '../domain/index.ts'
import type { Catalogue } from './catalogue.ts'

type DataOf<T extends CommandOf<'run'>['type']> = Extract<CommandOf<'run'>, { type: T }>['data']
type Deps = { dispatcher: Dispatcher; catalogue: Catalogue }

const AT_ONCE = 64

/** What deciding about a run takes beside the run itself; nothing for most commands. */
export async function factsForRun(deps: Deps, command: CommandOf<'run'>): Promise<RunFacts | undefined> {
  if (command.type === 'trigger-run') return await triggerFacts(deps, command.data)
  if (command.type === 'rerun') return await rerunFacts(deps, command.data)
  return undefined
}

async function triggerFacts({ dispatcher, catalogue }: Deps, data: DataOf<'trigger-run'>): Promise<RunFacts> {
  const [{ state: job }] = await Promise.all([dispatcher.load('job', streams.job(data.jobId)), catalogue.current()])
  const selection = chosenSelection(data, job)
  const targets = selection ? catalogue.select(selection) : []
  return { job, targets, credentials: statuses(catalogue, job, targets) }
}

async function rerunFacts(deps: Deps, { of, only }: DataOf<'rerun'>): Promise<RunFacts> {
  const { dispatcher, catalogue } = deps
  const { state: earlier } = await dispatcher.load('run', streams.run(of))
  if (earlier.status === 'absent') return { job: { status: 'absent' }, targets: [], credentials: new Map() }
  const [{ state: job }] = await Promise.all([
    dispatcher.load('job', streams.job(earlier.requested.jobId)),
    catalogue.current(),
  ])
  const targetIds = only === 'failed' ? await unsuccessful(deps, of, earlier) : earlier.targetIds
  const targets = targetIds.length > 0 ? catalogue.select({ targetIds: [...targetIds] }) : []
  const credentials = statuses(catalogue, job, targets)
  return { job, targets, credentials, earlier: { requested: earlier.requested, targetIds } }
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
  { dispatcher }: Deps,
  { runId, n }: { runId: string; n: number },
): Promise<FactsOf<'targetRun'>> {
  const { state } = await dispatcher.load('run', streams.run(runId))
  if (state.status === 'absent') return { targetId: undefined, runFinished: false }
  return { targetId: state.targetIds[n], runFinished: isFinished(state) }
}

function statuses(catalogue: Catalogue, job: Job, targets: RunFacts['targets']): RunFacts['credentials'] {
  const ofJob = job.status === 'absent' ? [] : job.versions.map(v => v.credentialId)
  const found = new Map<string, 'active' | 'revoked'>()
  for (const id of new Set([...ofJob, ...targets.map(t => t.credentialId)])) {
    const status = id === undefined ? undefined : catalogue.credential(id)
    if (id !== undefined && status) found.set(id, status)
  }
  return found
}
