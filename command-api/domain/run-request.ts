import { type CredentialKind, sshKinds } from '../../schemas/credential.ts'
import type { JobVersion, Selection } from '../../schemas/job.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { ParameterValues } from '../../schemas/parameters.ts'
import type { RunCommand, RunEvent } from '../../schemas/run.ts'
import { refuseUnfit, usesOfSecret } from './credential-use.ts'
import { DomainError, type Identified } from './decider.ts'
import { type Job, latest } from './job.ts'
import type { ApprovalFacts } from './run-gates.ts'
import { confirmedRules, type SafetyFacts } from './run-safety.ts'
import type { KnownRun, Requested } from './run-state.ts'
import { spread } from './spread.ts'
import { stepsBefore } from './workflow/order.ts'
import { bindParameters } from './workflow/parameters.ts'
import { planOf } from './workflow/plan.ts'
import { isGate } from './workflow/units.ts'

/** A target the selection led to; `absent` and `decommissioned` only for targets that were named by id. */
export type SelectedTarget = {
  targetId: string
  status: 'active' | 'decommissioned' | 'absent'
  credentialId?: string | undefined
}
/** As it is for whoever asks for the run; `not-yours`: it is somebody else's personal one. */
export type CredentialStanding = 'active' | 'revoked' | 'expired' | 'not-yours'
export type RunFacts = {
  job: Job
  /** What `chosenSelection` selects: named ones first as named, then by label; none twice. */
  targets: readonly SelectedTarget[]
  credentials: ReadonlyMap<string, CredentialStanding>
  /** Of those credentials, as far as that is known. */
  kinds?: ReadonlyMap<string, CredentialKind> | undefined
  /** Of a rerun: the earlier run, with the targets the new one is for. */
  earlier?: { requested: Requested; targetIds: readonly string[]; gates: KnownRun['gates'] } | undefined
  /** What the safety checks say about its commands, as far as they are known by now. */
  safety?: SafetyFacts | undefined
  /** Of a run that a step of another run triggers: that run's step, and what was confirmed for it. */
  parent?: Requested['parent'] | undefined
  confirmedAbove?: Requested['confirmed'] | undefined
  /** By what right it is asked for, and as whom it acts. */
  authority?: Pick<Requested, 'authorisedBy' | 'runAs'> | undefined
  /** Of somebody's word on an approval. */
  approval?: ApprovalFacts | undefined
}
type DataOf<T extends RunCommand['type']> = Identified<Extract<RunCommand, { type: T }>, 'runId'>['data']
export type Trigger = DataOf<'trigger-run'>
export type Rerun = DataOf<'rerun'>

export const MAX_TARGETS = 10_000
/** A run that is triggered by a run that is triggered by a run … ends here. */
export const MAX_DEPTH = 5
/** Keeps one event below 40 kB and the largest run's whole append below half of what the event store takes. */
const CHUNK = 1_000

/** The job version a trigger asks for: the named one or the newest. */
export function chosenVersion(data: { version?: number | undefined }, job: Job): JobVersion | undefined {
  if (job.status === 'absent') return undefined
  return data.version === undefined ? latest(job) : job.versions.find(v => v.version === data.version)
}

/** Which targets a trigger means: what it says itself, else what the job version says. */
export const chosenSelection = (data: Pick<Trigger, 'version' | 'selection'>, job: Job): Selection | undefined =>
  data.selection ?? chosenVersion(data, job)?.selection

/** The same request again, for a run that exists. Throws run-already-exists when it is another request. */
export function repeated(data: Trigger | Rerun, { requested }: KnownRun): RunEvent[] {
  const same = 'of' in data ? sameRerun(data, requested) : sameTrigger(data, requested)
  if (same && data.reason === requested.reason) return []
  throw new DomainError('run-already-exists', `there is already a run ${data.runId}`)
}

const sameRerun = ({ of, fromStep }: Rerun, requested: Requested): boolean =>
  requested.rerunOf === of && requested.fromStep === fromStep

function sameTrigger(data: Trigger, requested: Requested): boolean {
  const { labels, targetIds } = data.selection ?? requested.selection
  const given = Object.entries(data.parameters ?? {})
  return (
    data.jobId === requested.jobId &&
    (data.version ?? requested.jobVersion) === requested.jobVersion &&
    labels === requested.selection.labels &&
    targetIds?.join() === requested.selection.targetIds?.join() &&
    given.every(([name, value]) => JSON.stringify(requested.parameters?.[name]) === JSON.stringify(value))
  )
}

export function request(data: Trigger, meta: Meta, facts: RunFacts): RunEvent[] {
  const { job, version } = runnable(data.jobId, data.version, facts)
  const selection = chosenSelection(data, job)
  if (!selection) throw new DomainError('selection-missing', `name targets: the job ${job.name} has no selection`)
  const parameters = bindParameters(version.parameters, data.parameters)
  const { runId, reason, confirm } = data
  return requested({ runId, selection, parameters, reason }, confirm, { job, version }, meta, facts)
}

export function requestAgain(data: Rerun, meta: Meta, facts: RunFacts): RunEvent[] {
  const { earlier } = facts
  if (!earlier) throw new DomainError('run-not-found', `no run ${data.of}`)
  const { jobId, jobVersion, selection, parameters = {} } = earlier.requested
  const { job, version } = runnable(jobId, jobVersion, facts)
  if (earlier.targetIds.length === 0)
    throw new DomainError('empty-selection', 'no target of the earlier run is left to be tried again')
  const { runId, reason, confirm, of: rerunOf, fromStep } = data
  if (fromStep !== undefined && !version.steps.some(step => step.id === fromStep))
    throw new DomainError('invalid-input', `the job has no step ${fromStep}`)
  const asked = { runId, selection, parameters, reason, rerunOf, fromStep }
  const passedOver = gatesBefore(version, fromStep, earlier.gates)
  const [first, ...targets] = requested(asked, confirm, { job, version }, meta, facts)
  const skipped = passedOver.map(stepId => ({
    type: 'RunStepSkipped' as const,
    data: { runId, stepId, why: 'before-first-step' as const },
  }))
  // Its targets come last: whoever knows them all knows everything of its beginning.
  return [first, ...skipped, ...targets]
}

/** What counts as done beside the steps on targets; an approval only when the earlier run had it, or needed none. */
function gatesBefore({ steps }: JobVersion, fromStep: string | undefined, known: KnownRun['gates']): string[] {
  const before = stepsBefore(steps, fromStep)
  const gates = steps.filter(step => isGate(step) && before.has(step.id))
  for (const { id, uses } of gates)
    if (uses === 'approval' && known[id]?.status !== 'passed')
      throw new DomainError(
        'approval-missing',
        `the earlier run was not given the approval ${id}: begin there or before`,
      )
  return gates.map(({ id }) => id)
}

type Runnable = { job: Exclude<Job, { status: 'absent' }>; version: JobVersion }

function runnable(jobId: string, wanted: number | undefined, { job }: RunFacts): Runnable {
  if (job.status === 'absent') throw new DomainError('job-not-found', `no job ${jobId}`)
  if (job.status === 'archived') throw new DomainError('job-archived', `the job ${job.name} is archived`)
  if (job.status === 'disabled') throw new DomainError('job-disabled', `the job ${job.name} is disabled`)
  const version = chosenVersion({ version: wanted }, job)
  if (!version) throw new DomainError('job-version-not-found', `the job ${job.name} has no version ${wanted}`)
  return { job, version }
}

type Asked = Pick<Requested, 'runId' | 'selection' | 'reason' | 'rerunOf' | 'fromStep'> & {
  parameters: ParameterValues
}

function requested(
  asked: Asked,
  confirm: boolean | undefined,
  { job, version }: Runnable,
  meta: Meta,
  facts: RunFacts,
): [RunEvent, ...RunEvent[]] {
  if ((facts.parent?.depth ?? 0) > MAX_DEPTH)
    throw new DomainError('invalid-input', `runs that trigger runs may go ${MAX_DEPTH} deep`)
  const targetIds = inOrder(usable(facts, version), version.strategy?.order, asked.runId)
  checkSecrets(version, asked.parameters, facts)
  const plan = planOf(version, asked.parameters)
  const confirmed = facts.safety && confirmedRules(facts.safety, { confirm, above: facts.confirmedAbove })
  const { credentialId, maxParallel, strategy, overlap, priority, pool, executors, timeouts } = version
  const access = version.access ?? (logsIn(version) ? 'exclusive' : 'shared')
  const data: Requested = {
    ...asked,
    parameters: Object.keys(asked.parameters).length > 0 ? asked.parameters : undefined,
    ...{ jobId: job.jobId, jobVersion: version.version, jobName: job.name, targets: targetIds.length },
    ...{ credentialId, maxParallel, strategy, overlap, priority, pool, executors, access, timeouts },
    initiator: meta.actor,
    plan,
    parent: facts.parent,
    confirmed,
    approval: version.approval,
    ...facts.authority,
  }
  return [{ type: 'RunRequested', data }, ...chunks(asked.runId, targetIds)]
}

/** The ids of the selected targets, once each of them can be logged in to. */
function usable(facts: RunFacts, version: JobVersion): string[] {
  const { targets } = facts
  if (targets.length === 0) throw new DomainError('empty-selection', 'no active target matches the selection')
  if (targets.length > MAX_TARGETS)
    throw new DomainError('too-many-targets', `${targets.length} targets match; a run has at most ${MAX_TARGETS}`)
  const login = logsIn(version)
  for (const { targetId, status, credentialId } of targets) {
    if (status === 'absent') throw new DomainError('target-not-found', `no target ${targetId}`)
    if (status === 'decommissioned')
      throw new DomainError('target-decommissioned', `the target ${targetId} is decommissioned`)
    if (login) checkCredential(targetId, version.credentialId ?? credentialId, facts)
  }
  return targets.map(t => t.targetId)
}

const needsLogin: ReadonlySet<string> = new Set(['ssh.command', 'ssh.script', 'file.put', 'file.get', 'wait.until'])

/** Whether anything is done on the targets themselves. */
export const logsIn = ({ steps, onFailure = [] }: JobVersion): boolean =>
  [...steps, ...onFailure].some(step => needsLogin.has(step.uses))

/** What a secret parameter names must be there to be read when its step comes. */
function checkSecrets(version: JobVersion, values: ParameterValues, { credentials, kinds }: RunFacts): void {
  for (const [name, { type }] of Object.entries(version.parameters ?? {})) {
    const id = type === 'secret' ? values[name] : undefined
    if (typeof id !== 'string') continue
    const what = `which the parameter ${name} names`
    refuseUnusable(id, credentials.get(id), what)
    for (const use of usesOfSecret(version, name)) refuseUnfit({ id, what, kind: kinds?.get(id) }, use)
  }
}

function checkCredential(targetId: string, id: string | undefined, { credentials, kinds }: RunFacts): void {
  if (id === undefined) throw new DomainError('credential-missing', `the target ${targetId} has no credential`)
  const what = `which the target ${targetId} needs`
  refuseUnusable(id, credentials.get(id), what)
  refuseUnfit({ id, what, kind: kinds?.get(id) }, { kinds: sshKinds, as: 'to log in with over SSH' })
}

function refuseUnusable(id: string, standing: CredentialStanding | undefined, what: string): void {
  switch (standing) {
    case 'active':
      return
    case undefined:
      throw new DomainError('credential-not-found', `no credential ${id}, ${what}`)
    case 'revoked':
      throw new DomainError('credential-revoked', `the credential ${id}, ${what}, is revoked`)
    case 'expired':
      throw new DomainError('credential-expired', `the credential ${id}, ${what}, has expired`)
    case 'not-yours':
      throw new DomainError('credential-not-yours', `the credential ${id}, ${what}, is somebody else's personal one`)
  }
}

/** `shuffled` follows from the run's id: the same request gives the same order. */
function inOrder(targetIds: string[], order: 'as-selected' | 'reversed' | 'shuffled' | undefined, runId: string) {
  if (order === 'reversed') return targetIds.toReversed()
  if (order !== 'shuffled') return targetIds
  const rank = (id: string) => spread(`${runId} ${id}`)
  return targetIds.toSorted((a, b) => rank(a) - rank(b))
}

function chunks(runId: string, targetIds: readonly string[]): RunEvent[] {
  const events: RunEvent[] = []
  for (let from = 0; from < targetIds.length; from += CHUNK)
    events.push({ type: 'TargetsResolved', data: { runId, from, targetIds: targetIds.slice(from, from + CHUNK) } })
  return events
}
