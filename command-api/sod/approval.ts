import { type AccessState, judge, personOf, personText, principalKey, rolesOf } from '../../infra/access.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { PrincipalRef } from '../../schemas/access.ts'
import type { Approvers } from '../../schemas/approval.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { principalText } from '../../schemas/sod.ts'
import { boundOf, changesOf } from '../dispatch/approval.ts'
import type { Catalogue } from '../dispatch/catalogue.ts'
import {
  type ApprovalFacts,
  type CommandOf,
  chosenVersion,
  findingsAboutAct,
  type KnownRun,
  type Run,
  type RunFacts,
} from '../domain/index.ts'
import { judgeAct, rulesAbout, type SodDeps } from './judge.ts'

export type ApprovalDeps = SodDeps & { catalogue: Catalogue; store: Pick<EventStore, 'read'> }
type Word = Extract<CommandOf<'run'>, { type: 'grant-approval' | 'deny-approval' | 'delegate-approval' }>
type Gate = Extract<KnownRun['gates'][string], { kind: 'approval' }>

const isWord = (command: CommandOf<'run'>): command is Word =>
  command.type === 'grant-approval' || command.type === 'deny-approval' || command.type === 'delegate-approval'

/** What deciding about somebody's word on an approval takes; undefined for other commands. */
export async function factsForApproval(
  deps: ApprovalDeps,
  command: CommandOf<'run'>,
  state: Run,
  meta: Meta,
): Promise<RunFacts | undefined> {
  if (!isWord(command)) return undefined
  const person = personText(deps.access.state, meta.actor)
  const gate = state.status === 'absent' ? undefined : state.gates[command.data.stepId]
  const facts: ApprovalFacts = { person, eligible: true }
  if (state.status !== 'absent' && gate?.kind === 'approval' && gate.status === 'open' && !gate.by.includes(person))
    await complete(deps, { command, run: state, gate, meta }, facts)
  return { job: { status: 'absent' }, targets: [], credentials: new Map(), approval: facts }
}

type Asked = { command: Word; run: KnownRun; gate: Gate; meta: Meta }

async function complete(deps: ApprovalDeps, asked: Asked, facts: ApprovalFacts): Promise<void> {
  const { command, run, gate, meta } = asked
  const { state } = deps.access
  const who = personOf(state, meta.actor)
  const leftToThem = gate.delegations.some(({ to }) => to === facts.person)
  facts.eligible = leftToThem || isAsked(state, who, gate.approvers, Date.parse(meta.at))
  if (!facts.eligible || command.type === 'deny-approval') return
  await deps.catalogue.current()
  facts.refused = await keptFrom(deps, run, facts.person, meta)
  if (facts.refused) return
  if (command.type === 'grant-approval') facts.changed = await changesIn(deps, run, gate)
  else facts.delegatePermitted = mayApprove(state, command.data.to, run, Date.parse(meta.at))
}

/** Those of the key file are asked always: they are for when nobody else is there. */
function isAsked(state: AccessState, who: PrincipalRef | undefined, approvers: Approvers | undefined, now: number) {
  if (!who || !approvers) return true
  const { roles = [], groups = [] } = approvers
  const held = rolesOf(state, who, now)
  const within = state.groupsOf.get(principalKey(who))
  return roles.some(role => held.includes(role)) || groups.some(id => within?.has(id))
}

function mayApprove(state: AccessState, who: PrincipalRef, run: KnownRun, now: number): boolean {
  const { runId: id, jobId } = run.requested
  return judge(state, who, 'run:approve', { kind: 'run', id, jobId }, now).allowed
}

/** The rule that keeps this person from deciding about this run. */
async function keptFrom(deps: ApprovalDeps, run: KnownRun, person: string, meta: Meta) {
  const { catalogue, access } = deps
  const { jobId, jobVersion, runId } = run.requested
  const rules = rulesAbout(access.state, 'approver', meta)
  const writers = usedCredentials(catalogue, run).flatMap(id => catalogue.credentialWriters(id))
  const before = {
    requester: [requesterOf(access.state, run)],
    author: await authorsOf(deps, jobId, jobVersion),
    'credential-writer': writers.map(actor => personText(access.state, actor)),
  }
  const targets = tagsOf(catalogue, run.targetIds)
  const findings = findingsAboutAct(rules, { now: 'approver', person, before, targets })
  const refused = await judgeAct(deps, findings, { kind: 'run', id: runId }, meta)
  return refused && { rule: refused.rule.rule, detail: refused.detail }
}

export const tagsOf = (catalogue: Catalogue, targetIds: readonly string[]) =>
  targetIds.map(id => catalogue.target(id)?.tags).filter(tags => tags !== undefined)

function usedCredentials(catalogue: Catalogue, { requested, targetIds }: KnownRun): string[] {
  const ofTargets = catalogue.select({ targetIds: [...targetIds] }).map(({ credentialId }) => credentialId)
  const login = requested.credentialId === undefined ? ofTargets : [requested.credentialId]
  const named = Object.values(requested.parameters ?? {})
  return [...new Set([...login, ...named])].filter(id => typeof id === 'string')
}

/** Of a run that another one triggered, whoever asked for that. */
function requesterOf(state: AccessState, { requested: { runAs, initiator } }: KnownRun): string {
  if (runAs) return principalText(runAs)
  return initiator.onBehalfOf !== undefined && initiator.kind === 'system'
    ? initiator.onBehalfOf
    : personText(state, initiator)
}

/** Who published the version that is run. */
export async function authorsOf(
  { store, access }: Pick<ApprovalDeps, 'store' | 'access'>,
  jobId: string,
  version: number,
): Promise<string[]> {
  const { events } = await store.read(streams.job(jobId))
  const published = events.filter(event => event.type === 'JobVersionPublished' && event.data.version === version)
  return published.map(({ metadata }) => personText(access.state, metadata.actor))
}

async function changesIn(deps: ApprovalDeps, run: KnownRun, { bound }: Gate): Promise<string[] | undefined> {
  if (!bound) return undefined
  const { dispatcher, catalogue } = deps
  const { requested: request, targetIds } = run
  const { state: job } = await dispatcher.load('job', streams.job(request.jobId))
  const version = chosenVersion({ version: request.jobVersion }, job)
  if (!version) return undefined
  return changesOf(bound, boundOf(catalogue, { version, request, targetIds }), catalogue, targetIds)
}
