import { type Holder, ProblemError } from '../../infra/http/index.ts'
import type { Catalogue } from '../dispatch/catalogue.ts'
import { askedRun, type CheckRun } from '../dispatch/run-facts.ts'
import { type AskedRun, subRun, unknownYet } from '../dispatch/run-safety.ts'
import type { Dispatcher } from '../dispatch.ts'
import { type CommandOf, logsIn, MAX_DEPTH, type RunFacts, type SelectedTarget } from '../domain/index.ts'
import { absent, Denied, demand, holdsEverywhere } from './denied.ts'

type Deps = { dispatcher: Dispatcher; catalogue: Catalogue }
type Walk = { depth: number; jobs: Set<string> }

/** A run that triggers more different runs than this is not looked through to the end, and so not permitted. */
const MOST_JOBS = 100
/** So many of what is missing are named. */
const NAMED = 5

/**
 * The three things a run takes: `run:trigger` on its job, `target:use` on every target, `credential:use` on every
 * credential that would be used; and the same for the runs that its steps trigger.
 */
export const mayRun =
  (deps: Deps, holder: Holder, command: CommandOf<'run'>): CheckRun =>
  async (facts, asked) => {
    const needed = ['run:trigger', 'target:use', 'credential:use']
    if (needed.every(permission => holdsEverywhere(holder, permission))) return
    if (command.type === 'rerun') checkRerun(holder, command.data.of, facts)
    checkTargets(holder, deps.catalogue, facts.targets)
    const run = askedRun(facts, asked)
    // It will be refused for another reason, before any credential is asked about.
    if (!run) return
    checkCredentials(holder, facts.targets, run)
    await checkBelow(deps, holder, run, { depth: 0, jobs: new Set() })
  }

function checkRerun(holder: Holder, of: string, { earlier }: RunFacts): void {
  const jobId = earlier?.requested.jobId
  const run = { kind: 'run', id: of, jobId }
  if (!holder.permitsOn('run:read', run)) throw new Denied(`needs run:read on the run ${of}`, absent(run))
  if (jobId !== undefined) demand(holder, 'run:trigger', { kind: 'job', id: jobId })
}

/** What may not be seen is told of neither by name nor by number, and like what is not there. */
function checkTargets(holder: Holder, catalogue: Catalogue, targets: readonly SelectedTarget[]): void {
  if (holdsEverywhere(holder, 'target:use')) return
  const resources = targets.map(({ targetId: id }) => ({ kind: 'target', id, tags: catalogue.target(id)?.tags }))
  const missing = resources.filter(resource => !holder.permitsOn('target:use', resource))
  if (missing.length === 0) return
  const seen = missing.filter(resource => holder.permitsOn('target:read', resource))
  const known = named(seen.map(({ id }) => catalogue.target(id)?.name ?? id))
  const told = `needs target:use on every target of the selection${known === '' ? '' : `: not on ${known}`}`
  throw new Denied(
    `needs target:use on the targets ${named(missing.map(({ id }) => id))}`,
    new ProblemError('forbidden', told),
  )
}

const named = (all: readonly string[]): string =>
  all.length > NAMED ? `${all.slice(0, NAMED).join(', ')} and ${all.length - NAMED} more` : all.join(', ')

function checkCredentials(holder: Holder, targets: readonly SelectedTarget[], { version, parameters }: AskedRun): void {
  if (holdsEverywhere(holder, 'credential:use')) return
  const ofLogin = logsIn(version) ? targets.map(({ credentialId }) => version.credentialId ?? credentialId) : []
  for (const id of new Set(ofLogin)) if (id !== undefined) demand(holder, 'credential:use', { kind: 'credential', id })
  for (const [name, { type }] of Object.entries(version.parameters ?? {})) {
    const id = parameters[name]
    if (type !== 'secret' || typeof id !== 'string') continue
    const told = new ProblemError('credential-not-found', `no credential ${id}, which the parameter ${name} names`)
    demand(holder, 'credential:use', { kind: 'credential', id }, told)
  }
}

async function checkBelow(deps: Deps, holder: Holder, run: AskedRun, walk: Walk): Promise<void> {
  if (walk.depth === MAX_DEPTH) return
  for (const step of run.version.steps) {
    if (step.uses !== 'job.run') continue
    demand(holder, 'run:trigger', { kind: 'job', id: step.with.jobId })
    const below = await subRun(deps, run, step.id).catch(unknownYet)
    if (!below) continue
    const key = JSON.stringify([below.version.jobId, below.version.version, below.parameters, step.with.sameTargets])
    if (walk.jobs.has(key)) continue
    if (walk.jobs.add(key).size > MOST_JOBS) throw new Denied(`it triggers more than ${MOST_JOBS} different runs`)
    const targets = deps.catalogue.select({ targetIds: [...below.targetIds] })
    checkTargets(holder, deps.catalogue, targets)
    checkCredentials(holder, targets, below)
    await checkBelow(deps, holder, below, { ...walk, depth: walk.depth + 1 })
  }
}
