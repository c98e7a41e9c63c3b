import { type AccessState, judge, personOf, personText } from '../../infra/access.ts'
import type { Holder } from '../../infra/http/index.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { ProblemError } from '../../schemas/problems.ts'
import type { Catalogue } from '../dispatch/catalogue.ts'
import type { Answer } from '../dispatch.ts'
import { type CommandOf, chosenVersion, findingsAboutAct, type RunFacts } from '../domain/index.ts'
import { type ApprovalDeps, authorsOf, tagsOf } from './approval.ts'
import { forbidAct, rulesAbout, type SodDeps } from './judge.ts'

/** By what right a run is asked for, and as whom it acts. */
export function authorityOf(state: AccessState, holder: Holder, jobId: string, meta: Meta): RunFacts['authority'] {
  const { actor } = holder
  const runAs = personOf(state, actor)
  if (!runAs) return { authorisedBy: { kind: 'administrator-key', keyId: actor.id } }
  const who = actor.kind === 'api-key' ? ({ kind: 'api-key', id: actor.id } as const) : runAs
  const judged = judge(state, who, 'run:trigger', { kind: 'job', id: jobId }, Date.parse(meta.at))
  if (!judged.allowed || judged.why !== 'granted') return { runAs }
  const { grantId, role, via } = judged
  return { authorisedBy: { kind: 'grant', grantId, role, ...(via !== undefined && { via }) }, runAs }
}

type Asked = Extract<CommandOf<'run'>, { type: 'trigger-run' | 'rerun' }>

/** What rules have against somebody who triggers this run. @throws ProblemError sod-conflict, justification-needed */
export async function checkRequester(deps: ApprovalDeps, command: Asked, facts: RunFacts, meta: Meta): Promise<void> {
  const { state } = deps.access
  const rules = rulesAbout(state, 'requester', meta)
  if (rules.length === 0 || facts.job.status === 'absent') return
  const wanted = command.type === 'rerun' ? facts.earlier?.requested.jobVersion : command.data.version
  const version = chosenVersion({ version: wanted }, facts.job)
  if (!version) return
  const asksForAuthor = rules.some(({ conflict }) => conflict.kind === 'acts' && conflict.before === 'author')
  const before = {
    'credential-writer': writersOf(deps, version, command, facts),
    author: asksForAuthor ? await authorsOf(deps, version.jobId, version.version) : [],
  }
  const targets = tagsOf(
    deps.catalogue,
    facts.targets.map(({ targetId }) => targetId),
  )
  const person = personText(state, meta.actor)
  const findings = findingsAboutAct(rules, { now: 'requester', person, before, targets })
  await forbidAct(deps, findings, { kind: 'run', id: command.data.runId }, meta)
}

/** Of what is logged in with, and of what parameters name. */
function writersOf(
  { catalogue, access }: ApprovalDeps,
  version: JobVersion,
  command: Asked,
  facts: RunFacts,
): string[] {
  const ofTargets = facts.targets.map(({ credentialId }) => credentialId)
  const login = version.credentialId === undefined ? ofTargets : [version.credentialId]
  const parameters = command.type === 'rerun' ? facts.earlier?.requested.parameters : command.data.parameters
  const named = Object.values(parameters ?? {}).map(value => (typeof value === 'string' ? value : undefined))
  return writers(catalogue, access.state, [...new Set([...login, ...named])])
}

const writers = (catalogue: Catalogue, state: AccessState, ids: ReadonlyArray<string | undefined>): string[] =>
  ids.flatMap(id => (id === undefined ? [] : catalogue.credentialWriters(id).map(actor => personText(state, actor))))

/** What rules have against somebody who publishes a job that uses a credential. */
export async function checkAuthor(
  deps: SodDeps & { catalogue: Catalogue },
  command: CommandOf<'job'>,
  meta: Meta,
): Promise<void> {
  const { access, catalogue } = deps
  if (command.type !== 'define-job' && command.type !== 'publish-job-version') return
  const rules = rulesAbout(access.state, 'author', meta)
  const { credentialId, jobId } = command.data
  if (rules.length === 0 || credentialId === undefined) return
  await catalogue.current()
  const before = { 'credential-writer': writers(catalogue, access.state, [credentialId]) }
  const person = personText(access.state, meta.actor)
  const findings = findingsAboutAct(rules, { now: 'author', person, before, targets: [] })
  await forbidAct(deps, findings, { kind: 'job', id: jobId }, meta)
}

/** What was recorded instead of what was asked for is told as what it is: a refusal. */
export function refusedIn(answer: Answer): ProblemError | undefined {
  for (const { type } of answer.events) {
    if (type === 'SelfApprovalRefused')
      return new ProblemError(
        'self-approval-refused',
        'whoever wrote, asked for or supplied what is run does not approve it',
      )
    if (type === 'ApprovalVoided')
      return new ProblemError(
        'approval-out-of-date',
        'it has changed meanwhile: the approval is void and is asked for anew',
      )
  }
  return undefined
}
