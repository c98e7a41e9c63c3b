import type { Verdicts } from '../../infra/safety/verdicts.ts'
import { streams } from '../../schemas/events.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { ParameterValues } from '../../schemas/parameters.ts'
import { environmentOf } from '../../schemas/target.ts'
import type { Dispatcher } from '../dispatch.ts'
import { chosenVersion, DomainError, MAX_DEPTH, type SafetyFacts, type SafetyFinding } from '../domain/index.ts'
import {
  bindParameters,
  gateOf,
  type Preview,
  previews,
  type RunScope,
  stepsBefore,
  TemplateError,
} from '../domain/workflow/index.ts'
import type { Catalogue } from './catalogue.ts'
import { findingsAgainst } from './safety.ts'

export type SafetyDeps = { dispatcher: Dispatcher; catalogue: Catalogue; verdicts: Verdicts }
export type AskedRun = {
  version: JobVersion
  parameters: ParameterValues
  run: RunScope
  targetIds: readonly string[]
  /** Of a rerun: steps before this one are not done. */
  fromStep?: string | undefined
}

/** So many environments are looked at, those that rules speak of first: the others differ in nothing but their name. */
const MOST_ENVIRONMENTS = 20
/** On so many targets of an environment a step is looked for that is not done on the first. */
const MOST_TARGETS = 500
/** Jobs that a run's steps run are looked into until so many were. */
const MOST_JOBS = 20

type Walk = { depth: number; left: { jobs: number } }
type Group = { environment: string | undefined; targetIds: string[] }

/**
 * What the safety checks say about a run that is about to be triggered: every step as it would be done on the first
 * target of each environment that it is done on, those of the jobs that it runs included. Throws EventStoreUnavailable.
 */
export async function safetyOf(deps: SafetyDeps, asked: AskedRun): Promise<SafetyFacts> {
  const findings = await findingsOf(deps, asked, { depth: 0, left: { jobs: MOST_JOBS } })
  return { findings, rulesDigest: deps.verdicts.digest }
}

async function findingsOf(deps: SafetyDeps, asked: AskedRun, walk: Walk): Promise<SafetyFinding[]> {
  const found = new Map<string, SafetyFinding>()
  for (const { environment, targetIds } of groups(deps, asked.targetIds)) {
    const setting = { environment, targets: asked.run.targets }
    for (const preview of onFirst(deps, asked, targetIds)) {
      const { id } = preview.unit
      for (const finding of await findingsAgainst(deps.verdicts, preview, setting)) {
        const known = found.get(`${id} ${finding.rule}`)
        if (known?.decision !== 'deny' && known?.decision !== finding.decision)
          found.set(`${id} ${finding.rule}`, { stepId: id, environment, ...finding })
      }
    }
  }
  return [...found.values(), ...(await findingsBelow(deps, asked, walk))]
}

function groups({ catalogue, verdicts }: SafetyDeps, targetIds: readonly string[]): Group[] {
  const all = new Map<string | undefined, string[]>()
  for (const targetId of targetIds) {
    const environment = environmentOf(catalogue.target(targetId)?.tags ?? {})
    const group = all.get(environment) ?? []
    all.set(environment, group)
    if (group.length < MOST_TARGETS) group.push(targetId)
  }
  const found = [...all].map(([environment, ids]) => ({ environment, targetIds: ids }))
  const isNamed = ({ environment }: Group) => environment !== undefined && verdicts.environments.has(environment)
  return [...found.filter(isNamed), ...found.filter(each => !isNamed(each))].slice(0, MOST_ENVIRONMENTS)
}

/** Every step on the first target that it is done on. */
function* onFirst({ catalogue }: SafetyDeps, asked: AskedRun, targetIds: readonly string[]): Generator<Preview> {
  let left: ReadonlySet<string> | undefined
  for (const targetId of targetIds) {
    const target = catalogue.target(targetId)
    if (!target) continue
    const elsewhere = new Set<string>()
    for (const preview of due(previews({ ...asked, target }, left), asked)) {
      if (preview.kind === 'skipped' && preview.elsewhere) elsewhere.add(preview.unit.id)
      else yield preview
    }
    if (elsewhere.size === 0) return
    left = elsewhere
  }
}

/** What a rerun begins with and all after it; what was done before is not undone either. */
function due(all: readonly Preview[], { version, fromStep }: AskedRun): readonly Preview[] {
  const before = stepsBefore(version.steps, fromStep)
  return all.filter(({ unit }) => !before.has(unit.step.id))
}

/** The same for every job that a step of the run runs. */
async function findingsBelow(deps: SafetyDeps, asked: AskedRun, walk: Walk): Promise<SafetyFinding[]> {
  const found: SafetyFinding[] = []
  const before = stepsBefore(asked.version.steps, asked.fromStep)
  for (const { id, uses } of asked.version.steps) {
    if (uses !== 'job.run' || before.has(id) || walk.depth === MAX_DEPTH || walk.left.jobs === 0) continue
    walk.left.jobs -= 1
    const below = await subRun(deps, asked, id).catch(unknownYet)
    if (!below) continue
    const findings = await findingsOf(deps, below, { ...walk, depth: walk.depth + 1 })
    found.push(...findings.map(each => ({ ...each, stepId: `${id}/${each.stepId}` })))
  }
  return found
}

/** The run that a step of this one triggers; undefined where there is nothing to run. */
export async function subRun(
  { dispatcher, catalogue }: Pick<SafetyDeps, 'dispatcher' | 'catalogue'>,
  asked: AskedRun,
  stepId: string,
): Promise<AskedRun | undefined> {
  const gate = gateOf(asked.version, asked.parameters, asked.run, stepId)
  if (gate.kind !== 'job-run') return undefined
  const { state: job } = await dispatcher.load('job', streams.job(gate.jobId))
  const version = chosenVersion(gate, job)
  if (!version || job.status === 'absent') return undefined
  const parameters = bindParameters(version.parameters, gate.parameters)
  const selected = version.selection ? catalogue.select(version.selection).map(({ targetId }) => targetId) : []
  const targetIds = gate.sameTargets ? asked.targetIds : selected
  const { jobId, version: jobVersion } = version
  const run = { ...asked.run, jobId, jobName: job.name, jobVersion, targets: targetIds.length }
  return { version, parameters, run, targetIds }
}

/** A job that cannot be run as it is asked for does nothing. */
export function unknownYet(error: unknown): undefined {
  if (error instanceof TemplateError || error instanceof DomainError) return undefined
  throw error
}
