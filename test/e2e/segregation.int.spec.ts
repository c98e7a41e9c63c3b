import pino from 'pino'
import t from 'tap'
import { createDispatcher } from '../../command-api/dispatch.ts'
import { tellStopped } from '../../command-api/sod/clock.ts'
import { holderOf } from '../../infra/access.ts'
import { connectBus } from '../../infra/bus.ts'
import { systemClock } from '../../infra/clock.ts'
import { connectEventStore } from '../../infra/event-store/client.ts'
import { systemIds } from '../../infra/ids.ts'
import { Engine } from '../../reactors/engine.ts'
import { streams } from '../../schemas/events.ts'
import { startBroker } from '../support/broker.ts'
import { commandApi } from '../support/command-api.ts'
import { commanding, ok, refused } from '../support/commanding.ts'
import { startEventStore } from '../support/event-store.ts'
import { ExecutorSide } from '../support/executor-side.ts'
import { until } from '../support/process.ts'
import { resourcesIn } from '../support/resources.ts'

const log = pino({ level: 'silent' })
const [node, broker] = await Promise.all([startEventStore(t), startBroker(t)])
const store = connectEventStore(node.connectionString)
const bus = await connectBus({ url: broker.url, name: 'reactors', log })
const vault = { seal: () => Promise.reject(new Error('no secret is sent here')) }
/** A key that is a UUID is the user of that id; `ann` is an administrator by the key file. */
const api = await commandApi(t, {
  ...{ store, vault },
  holder: (id, { state }) =>
    /^[0-9a-f-]{36}$/.test(id)
      ? holderOf({ state: () => state, who: { kind: 'user', id }, actor: { kind: 'user', id }, clock: systemClock })
      : undefined,
})
const engine = new Engine({
  ...{ store, bus, log, leaseSeconds: 15, clock: systemClock, ids: systemIds, after: undefined },
  storeOutput: async () => [],
})
void engine.run()
t.teardown(async () => {
  await engine.stop()
  await Promise.all([bus.close(), executorBus.close()])
  await store.close()
})
await until('both have read the log', () => api.access.live && engine.live)
const made = resourcesIn(store)
const executorBus = await connectBus({ url: broker.url, name: 'executor', log })
const executor = new ExecutorSide(executorBus, made.enrol)

const { sendAs, create } = commanding(api)
const scope = { kind: 'everything' }
const grant = (id: string, role: string) =>
  create('grant-role', { principal: { kind: 'user', id }, role, scope, reason: 'spec' })
const person = async (...roles: string[]) => {
  const id = systemIds.next()
  for (const role of roles) await grant(id, role)
  return id
}
const eventOf = async (stream: string, type: string) => {
  let found: Record<string, unknown> | undefined
  await until(`${type} in ${stream}`, async () => {
    found = (await made.events(stream)).findLast(event => event.type === type)?.data as Record<string, unknown>
    return found !== undefined
  })
  return found ?? {}
}
const askedFor = async (runId: string) => {
  const { bound, shown } = await eventOf(streams.run(runId), 'ApprovalRequested')
  return { digest: (bound as { digest: string }).digest, shown }
}
const where = (runId: string) => ({ runId, stepId: 'job-approval' })
const steps = [
  { id: 'restart', uses: 'http.request', with: { method: 'POST', url: 'https://shop.example.org/restart' } },
]
const approval = { prompt: 'Restart the shop?', quorum: 1 }

t.test('9: nobody approves what they wrote, asked for, or what has changed since it was shown', async t => {
  const [author, operator] = [await person('job-author', 'approver'), await person('operator', 'approver')]
  const [first, second] = [await person('approver'), await person('approver')]
  const targetId = await create('create-target', { name: 'web-1', address: '192.0.2.1', tags: { env: 'prod' } })
  const jobId = await create('define-job', { name: 'restart', steps, approval }, author)
  const run = () => create('trigger-run', { jobId, selection: { targetIds: [targetId] } }, operator)
  const runId = await run()
  const { digest, shown } = await askedFor(runId)
  t.match(shown, { jobName: 'restart', targets: 1, targetNames: ['web-1'], steps: [{ stepId: 'restart' }] })
  t.notOk((await made.types(streams.run(runId))).includes('RunStarted'))
  for (const who of [operator, author]) {
    await refused(t, sendAs(who, 'grant-approval', { ...where(runId), digest }), 403, 'self-approval-refused')
    await refused(t, sendAs(who, 'grant-approval', { ...where(runId), digest }), 403, 'self-approval-refused')
  }
  const types = await made.types(streams.run(runId))
  t.equal(types.filter(type => type === 'SelfApprovalRefused').length, 2, 'each is told of once')
  await refused(t, sendAs(first, 'grant-approval', where(runId)), 409, 'approval-out-of-date')
  await refused(
    t,
    sendAs(first, 'grant-approval', { ...where(runId), digest: 'ab'.repeat(32) }),
    409,
    'approval-out-of-date',
  )
  await ok(sendAs('ann', 'change-target-address', { targetId, address: '192.0.2.2' }))
  await refused(t, sendAs(first, 'grant-approval', { ...where(runId), digest }), 409, 'approval-out-of-date')
  t.match(await eventOf(streams.run(runId), 'ApprovalVoided'), { digest, changes: [/another address/] })
  await until('it is asked for anew', async () => (await askedFor(runId)).digest !== digest)
  const anew = (await askedFor(runId)).digest
  await refused(t, sendAs(first, 'grant-approval', { ...where(runId), digest }), 409, 'approval-out-of-date')
  const to = { kind: 'user', id: second }
  await refused(
    t,
    sendAs(first, 'delegate-approval', { ...where(runId), to: { kind: 'user', id: systemIds.next() } }),
    403,
    'approval-not-yours',
  )
  await ok(sendAs(first, 'delegate-approval', { ...where(runId), to }))
  await refused(t, sendAs(first, 'grant-approval', { ...where(runId), digest: anew }), 403, 'approval-not-yours')
  t.match(await ok(sendAs(second, 'grant-approval', { ...where(runId), digest: anew })), {
    events: [{ type: 'ApprovalGranted' }, { type: 'ApprovalQuorumReached' }],
  })
  t.match(await eventOf(streams.run(runId), 'RunRequested'), {
    authorisedBy: { kind: 'grant', role: 'operator' },
    runAs: { kind: 'user', id: operator },
  })
  const other = await run()
  await askedFor(other)
  await ok(sendAs(first, 'deny-approval', { ...where(other), reason: 'not today' }))
  t.match(await eventOf(streams.run(other), 'RunRejected'), { why: 'approval-denied' })
})

t.test('a key of the key file may, and each time that is told with the rule', async t => {
  const targetId = await create('create-target', { name: 'web-7', address: '192.0.2.7' })
  const jobId = await create('define-job', { name: 'by-root', steps, approval })
  const runId = await create('trigger-run', { jobId, selection: { targetIds: [targetId] } })
  const { digest } = await askedFor(runId)
  for (let i = 0; i < 2; i++) await ok(sendAs('ann', 'grant-approval', { ...where(runId), digest }))
  const told = async (rule: string) => {
    const { rows } = api.access.state
    const row = [...rows.sodviolation.values()].find(each => each.rule === rule && each.person === 'api-key:ann')
    return row && { ...row, types: await made.types(streams.sodViolation(row.violationId)) }
  }
  for (const rule of ['author-approver', 'requester-approver'])
    t.match(await told(rule), {
      ...{ mode: 'block', outcome: 'exempt', about: { kind: 'run', id: runId }, count: 1 },
      types: ['SodViolationDetected'],
    })
  t.equal(await told('credential-runner'), undefined, 'not what a rule only records')
  const conflict = { kind: 'acts', before: 'author', now: 'requester' }
  const own = { rule: 'author-requester', mode: 'justify', conflict }
  await ok(sendAs('ann', 'define-sod-rule', own))
  const again = await create('trigger-run', { jobId, selection: { targetIds: [targetId] } })
  t.match(await told(own.rule), { outcome: 'exempt', about: { kind: 'run', id: again } })
  await ok(sendAs('ann', 'retire-sod-rule', { rule: own.rule, reason: 'spec' }))
  await ok(sendAs('ann', 'cancel-run', { runId: again }))
})

t.test('9: what changed between the yes and the beginning is asked for anew', async t => {
  for (const earlier of await executor.pull(16, 500)) await executor.work(earlier)
  const [operator, approver] = [await person('operator'), await person('approver')]
  const targetId = await create('create-target', { name: 'web-9', address: '192.0.2.9' })
  const other = await create('create-target', { name: 'web-8', address: '192.0.2.8' })
  const gate = { id: 'sign-off', uses: 'approval', with: { prompt: 'Go on?' } }
  const definition = { name: 'late', steps: [steps[0], gate, { ...steps[0], id: 'again' }], approval }
  const jobId = await create('define-job', definition)
  const runId = await create('trigger-run', { jobId, selection: { targetIds: [targetId, other] } }, operator)
  const yes = async (stepId: string, before?: string) => {
    const asked = (events: Array<{ type: string; data: unknown }>) =>
      events.findLast(({ type }) => type === 'ApprovalRequested')?.data as { stepId: string; bound: { digest: string } }
    await until(`${stepId} is asked for`, async () => {
      const found = asked(await made.events(streams.run(runId)))
      return found?.stepId === stepId && found.bound.digest !== before
    })
    const { digest } = asked(await made.events(streams.run(runId))).bound
    await ok(sendAs(approver, 'grant-approval', { runId, stepId, digest }))
    return digest
  }
  const voids = async () => (await made.types(streams.run(runId))).filter(type => type === 'ApprovalVoided').length
  const first = await yes('job-approval')
  await ok(sendAs('ann', 'change-target-address', { targetId, address: '192.0.2.10' }))
  const asking = executor.pull(16, 1_000)
  t.match(await eventOf(streams.run(runId), 'ApprovalVoided'), { digest: first, changes: [/another address/] })
  t.same(await asking, [], 'nothing of it has begun')
  t.notOk((await made.types(streams.run(runId))).includes('RunStarted'))
  await yes('job-approval', first)
  const begun = await executor.pull()
  t.equal(begun.length, 2, 'as it was agreed to anew')
  await ok(sendAs('ann', 'change-target-address', { targetId: other, address: '192.0.2.11' }))
  for (const each of begun) await executor.work(each)
  const second = await yes('sign-off')
  t.equal(await voids(), 1, 'what has begun is not asked about again')
  await ok(sendAs('ann', 'change-target-address', { targetId: other, address: '192.0.2.12' }))
  const waiting = executor.pull(16, 1_000)
  await until('the second yes is void', async () => (await voids()) === 2)
  t.same(await waiting, [])
  await yes('sign-off', second)
  const rest = await executor.pull()
  t.same(
    rest.map(({ steps: due }) => due.map(({ id }) => id)),
    [['again'], ['again']],
  )
  for (const each of rest) await executor.work(each)
  await eventOf(streams.run(runId), 'RunSucceeded')
})

t.test('7: a run whose right was taken back while it waited never begins', async t => {
  const operator = systemIds.next()
  const grantId = await grant(operator, 'operator')
  const targetId = await create('create-target', { name: 'web-2', address: '192.0.2.3' })
  const jobId = await create('define-job', { name: 'look', steps })
  const runId = await create('trigger-run', { jobId, selection: { targetIds: [targetId] } }, operator)
  const beforehand = Date.now()
  await ok(sendAs('ann', 'revoke-role', { grantId, reason: 'left' }))
  t.match(await eventOf(streams.run(runId), 'RunRejected'), { why: 'not-permitted', detail: /may not run this job/ })
  t.ok(Date.now() - beforehand < 5_000, 'soon')
  t.notOk((await made.types(streams.run(runId))).includes('RunStarted'))
})

t.test('duties that do not go together are not granted to one person, unless that is waived', async t => {
  const auditor = await person('auditor')
  const operator = { principal: { kind: 'user', id: auditor }, role: 'operator', scope, reason: 'spec' }
  await refused(t, sendAs('ann', 'grant-role', operator), 403, 'sod-conflict')
  const groupId = await create('create-group', { name: 'operators' })
  await create('grant-role', { ...operator, principal: { kind: 'group', id: groupId } })
  const join = { groupId, member: { kind: 'user', id: auditor } }
  await refused(t, sendAs('ann', 'add-to-group', join), 403, 'sod-conflict')
  await ok(sendAs('ann', 'change-sod-rule', { rule: 'auditor-write', mode: 'justify', reason: 'small team' }))
  await refused(t, sendAs('ann', 'add-to-group', join), 422, 'justification-needed')
  await ok(sendAs('ann', 'add-to-group', join, { 'x-justification': 'nobody else is there' }))
  const violations = [...api.access.state.rows.sodviolation.values()].filter(({ rule }) => rule === 'auditor-write')
  t.match(violations, [{ rule: 'auditor-write', person: `user:${auditor}`, outcome: 'justified', count: 3 }])
  await ok(sendAs('ann', 'change-sod-rule', { rule: 'auditor-write', mode: 'block', reason: 'no more' }))
  await refused(t, sendAs('ann', 'grant-role', operator), 403, 'sod-conflict')
  const until = new Date(Date.now() + 60_000).toISOString()
  const waiver = { violationId: violations[0]?.violationId, until, reason: 'for January' }
  await refused(t, sendAs(auditor, 'waive-sod-violation', waiver), 403, 'forbidden')
  await ok(sendAs('ann', 'waive-sod-violation', waiver))
  await create('grant-role', operator)
})

t.test('the glass is broken for a time, seen by all, and looked at by somebody else', async t => {
  const [chief, other] = [await person('break-glass'), await person('user-admin')]
  const asked = { reason: 'the shop is down', ticket: 'INC-1', minutes: 5 }
  const target = { name: 'web-3', address: '192.0.2.4' }
  await refused(t, sendAs(chief, 'create-target', target), 403, 'forbidden')
  await refused(t, sendAs(other, 'activate-break-glass', asked), 403, 'forbidden')
  await refused(t, sendAs('ann', 'activate-break-glass', asked), 403, 'break-glass-not-possible')
  const breakGlassId = await create('activate-break-glass', asked, chief)
  await create('create-target', target, chief)
  const review = { breakGlassId, verdict: 'justified', reason: 'it was down' }
  await refused(t, sendAs(other, 'review-break-glass', review), 409, 'break-glass-not-over')
  await ok(sendAs(chief, 'end-break-glass', { breakGlassId }))
  await refused(t, sendAs(chief, 'create-target', target), 403, 'forbidden')
  await refused(t, sendAs(chief, 'review-break-glass', review), 403, 'forbidden')
  await ok(sendAs(other, 'review-break-glass', review))
  t.match(await made.types(streams.breakGlass(breakGlassId)), [
    ...['BreakGlassActivated', 'BreakGlassEnded', 'BreakGlassReviewed'],
  ])
})

t.test('a key stops loudly when its owner leaves', async t => {
  const [keyId, owner] = [systemIds.next(), { kind: 'user' as const, id: systemIds.next() }]
  const meta = (commandId: string) => ({
    ...{ commandId, $correlationId: commandId, $causationId: commandId, at: systemClock.now() },
    ...{ actor: { kind: 'system' as const, id: 'spec' }, origin: { channel: 'system' as const } },
  })
  const dispatcher = createDispatcher({ store, appended: api.access.note })
  const secretHash = 'ab'.repeat(32)
  const invited = {
    userId: owner.id,
    loginIndex: secretHash,
    linkHash: secretHash,
    linkExpiresAt: '2099-01-01T00:00:00.000Z',
  }
  const event = (type: string, data: object) => ({ id: systemIds.next(), type, data, metadata: meta(systemIds.next()) })
  await store.append(streams.user(owner.id), [event('UserInvited', invited)] as never, 'none')
  const issue = { type: 'issue-api-key', data: { keyId, name: 'nightly', owner, expiresSeconds: 3_600 } } as const
  await dispatcher.dispatch('apiKey', issue, { meta: meta(systemIds.next()), facts: { secretHash, owner: 'active' } })
  const left = event('UserDeactivated', { userId: owner.id, reason: 'left' })
  await store.append(streams.user(owner.id), [left] as never, 0n)
  const parts = { dispatcher, access: api.access, clock: systemClock, log }
  await until('it is told', async () => {
    await tellStopped(parts, new Set())
    return (await made.types(streams.apiKey(keyId))).includes('ApiKeyStopped')
  })
  await tellStopped(parts, new Set())
  t.same(await made.types(streams.apiKey(keyId)), ['ApiKeyIssued', 'ApiKeyStopped'])
})
