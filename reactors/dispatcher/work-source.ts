import type { Assignment } from '../../schemas/bus.ts'
import { sshKinds } from '../../schemas/credential.ts'
import { streams } from '../../schemas/events.ts'
import { type RenderedStep, renderedStep } from '../../schemas/steps/index.ts'
import { environmentOf } from '../../schemas/target.ts'
import type { StepRule, StepSecret } from '../../schemas/target-run.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun, RunRequest } from '../runs/active-run.ts'
import type { Place } from '../runs/active-runs.ts'
import { type Outdated, outdated } from '../runs/agreements.ts'
import type { Hold } from '../runs/target-runs.ts'
import { type Credentials, credentialsFor } from './credentials.ts'
import { secretsOf } from './secrets.ts'
import { type Next, nextOf, type TargetOf } from './segment-source.ts'
import { denied, type Impossible, isImpossible, needsLogin, stepsOf, targetOf } from './work.ts'

type Skip = Next['segment']['skip']
type Rules = { rules: StepRule[]; skip: Skip }
/** Work for an executor. */
export type Job = Rules & {
  kind: 'claim'
  /** Bytes it will take in an answer, roughly. */
  bytes: number
  due: RenderedStep[]
  target: Assignment['target']
  credential: Assignment['credential']
  secrets: StepSecret[]
  environment: string | undefined
}
/** What is to become of a reserved target run. */
export type Prepared =
  | Job
  | { kind: 'hold'; hold: Hold; leftOut: readonly string[] }
  | ({ kind: 'void' } & Outdated)
  | (Rules & { kind: 'settle' })
  | (Rules & { kind: 'wait'; stepId: string; until: string })
  | (Rules & { kind: 'impossible'; stepId: string; why: Impossible })

const ENVELOPE_BYTES = 4_000
/** Where the log tells nothing of the steps any more. */
const unknownStep: StepRule = { id: 'unknown', idempotent: false, continueOnError: false }

/** Looks up what a target run needs, as it is now. Throws EventStoreUnavailable. */
export async function prepare(
  commands: Pick<Commands, 'known' | 'active' | 'lacks' | 'catalogue'>,
  { run, n }: Place,
  now: string,
): Promise<Prepared> {
  const { request, targetIds } = run
  const targetId = targetIds[n] ?? ''
  const [job, target] = await Promise.all([
    commands.known('job', streams.job(request.jobId)),
    commands.known('target', streams.target(targetId)),
  ])
  const version = stepsOf(job, request.jobVersion)
  if (isImpossible(version)) return impossible([unknownStep], [], unknownStep.id, version)
  const place = targetOf(target, targetId)
  const tags = target.status === 'absent' ? {} : target.tags
  const serialBy = request.strategy?.serialBy
  if (serialBy !== undefined) await groupsAtWork(commands, run, serialBy)
  const group = serialBy && tags[serialBy]
  if (group !== undefined && !run.enterGroup(n, group)) return { kind: 'hold', hold: { group }, leftOut: [] }
  const scope = isImpossible(place) ? nowhere(targetId) : scopeOf(place, tags)
  const { rules, remaining, segment } = await nextOf(commands, { run, n, version, target: scope, now })
  const first = remaining.find(({ id }) => !segment.skip.some(({ stepId }) => stepId === id))?.id
  if (first === undefined) return { kind: 'settle', rules, skip: segment.skip }
  if (isImpossible(place)) return impossible(rules, segment.skip, first, place)
  if (segment.impossible) {
    const { stepId, ...why } = segment.impossible
    return impossible(rules, segment.skip, stepId, why)
  }
  if (!segment.wait && segment.due.length === 0)
    return { kind: 'hold', hold: { step: first }, leftOut: segment.skip.map(({ stepId }) => stepId) }
  const other = await outdated(run, first, commands)
  if (other) return { kind: 'void', ...other }
  const lost = run.hasBegun(n) ? undefined : await targetDenied(commands, request, targetId, tags)
  if (lost) return impossible(rules, segment.skip, first, lost)
  if (segment.wait) return { kind: 'wait', rules, skip: segment.skip, ...segment.wait }
  const misfit = segment.due.map(problemOf).find(problem => problem !== undefined)
  if (misfit !== undefined) return impossible(rules, segment.skip, first, misfit)
  const credentials = credentialsFor(commands, request, now)
  const { secrets, missing } = await secretsOf(credentials, segment.due)
  if (missing?.stepId === first) return impossible(rules, segment.skip, first, missing.why)
  const { due, skip } = missing ? before(missing.stepId, segment, remaining) : segment
  const credentialId = request.credentialId ?? (target.status === 'absent' ? undefined : target.credentialId)
  const login = due.some(needsLogin) ? await loginWith(credentials, credentialId) : undefined
  if (login && isImpossible(login)) return impossible(rules, skip, first, login)
  const bytes = ENVELOPE_BYTES + Buffer.byteLength(JSON.stringify(due))
  const environment = environmentOf(tags)
  return { kind: 'claim', bytes, rules, skip, due, target: place, credential: login, secrets, environment }
}

/** What of a segment comes before this step: it is done first, and then asked again. */
function before(stepId: string, { due, skip }: Next['segment'], remaining: readonly StepRule[]) {
  const at = remaining.findIndex(({ id }) => id === stepId)
  const earlier = new Set(remaining.slice(0, at).map(({ id }) => id))
  return { due: due.filter(({ id }) => earlier.has(id)), skip: skip.filter(step => earlier.has(step.stepId)) }
}

/** Values may make of a step what no executor takes, such as a path that is not absolute. */
function problemOf(step: RenderedStep): Impossible | undefined {
  const { error } = renderedStep.safeParse(step)
  const [issue] = error?.issues ?? []
  if (!issue) return undefined
  return { class: 'invalid-template', detail: `${step.id}: ${issue.path.join('.')}: ${issue.message}`.slice(0, 500) }
}

const restored = new WeakMap<ActiveRun, Promise<void>>()

/**
 * Of what was begun before this process knew of the run it is the turn of those that were worked on last: the log does
 * not say who is in which group, but nobody else of a group is worked on before its turn is over.
 */
function groupsAtWork(commands: Pick<Commands, 'known'>, run: ActiveRun, serialBy: string): Promise<void> {
  const known = restored.get(run)
  if (known) return known
  const looking = lookUpGroups(commands, run, serialBy)
  restored.set(run, looking)
  looking.catch(() => restored.delete(run))
  return looking
}

async function lookUpGroups(commands: Pick<Commands, 'known'>, run: ActiveRun, serialBy: string): Promise<void> {
  for (const n of [...run.begunAt.keys()].reverse()) {
    if (run.attention.has(n)) continue
    const target = await commands.known('target', streams.target(run.targetIds[n] ?? ''))
    const group = target.status === 'absent' ? undefined : target.tags[serialBy]
    if (group !== undefined && run.begunAt.has(n)) run.enterGroup(n, group)
  }
}

const impossible = (rules: StepRule[], skip: Skip, stepId: string, why: Impossible): Prepared => ({
  ...{ kind: 'impossible', rules, skip, stepId, why },
})

const scopeOf = ({ targetId, name, address, port }: Assignment['target'], tags: TargetOf['tags']): TargetOf => ({
  ...{ id: targetId, name, address, port, tags },
})
const nowhere = (targetId: string): TargetOf => ({ id: targetId, name: '', address: '', port: 0, tags: {} })

async function loginWith(credentials: Credentials, credentialId: string | undefined) {
  if (credentialId === undefined) {
    return { class: 'credential-unavailable', detail: 'neither the job nor the target names a credential' } as const
  }
  return await credentials(credentialId, sshKinds)
}

/** Asked when the target run begins, and not again: what was begun is not left half done for that. */
async function targetDenied(
  commands: Pick<Commands, 'lacks'>,
  request: RunRequest,
  id: string,
  tags: TargetOf['tags'],
): Promise<Impossible | undefined> {
  const why = await commands.lacks(request, { permission: 'target:use', resource: { kind: 'target', id, tags } })
  return why === undefined ? undefined : denied(why)
}
