import t from 'tap'
import { systemIds } from '../infra/ids.ts'
import { streams } from '../schemas/events.ts'
import type { Meta } from '../schemas/kernel.ts'
import { commandApi } from '../test/support/command-api.ts'
import { commanding, ok, refused } from '../test/support/commanding.ts'
import { vaultBench } from '../test/support/vault.ts'
import { createDispatcher } from './dispatch.ts'
import type { CommandOf } from './domain/index.ts'
import { createVaultClient } from './vault-client.ts'

const bench = await vaultBench(t)
const { store, bus, log } = bench
await bench.startVault()
const api = await commandApi(t, { store, vault: createVaultClient(bus), log })
const { send, http } = api
const dispatcher = createDispatcher({ store })

const { create } = commanding(api)
const typesOf = async (stream: string) => (await store.read(stream)).events.map(e => e.type)
const meta = (): Meta => {
  const commandId = systemIds.next()
  const ids = { commandId, $correlationId: commandId, $causationId: commandId }
  return { ...ids, actor: { kind: 'system', id: 'spec' }, origin: { channel: 'system' }, at: new Date().toISOString() }
}
/** What only the reactors and executors do. */
const onRun = (command: CommandOf<'run'>) => dispatcher.dispatch('run', command, { meta: meta(), facts: undefined })
const onTarget = (command: CommandOf<'targetRun'>) =>
  dispatcher.dispatch('targetRun', command, { meta: meta(), facts: undefined })

const noop = { uses: 'noop' }
const targetIds = await Promise.all(
  ['web-1', 'web-2', 'web-3'].map((name, i) =>
    create('create-target', { name, address: `192.0.2.${i + 1}`, tags: { env: 'prod', rack: `r${i}` } }),
  ),
)
const jobId = await create('define-job', {
  name: 'steps',
  steps: [
    { id: 'one', ...noop },
    { id: 'two', ...noop },
  ],
  selection: { targetIds },
})

const lease = { executorId: 'executor-1', executorKey: 'k'.repeat(43), leaseSeconds: 60 }
const rules = ['one', 'two'].map(id => ({ id, idempotent: false, continueOnError: false }))
const now = () => new Date().toISOString()

async function claim(runId: string, n: number): Promise<void> {
  const target = { name: `web-${n + 1}`, address: `192.0.2.${n + 1}`, port: 22 }
  const data = { runId, n, targetId: targetIds[n] ?? '', steps: rules, ...lease, target }
  await onTarget({ type: 'claim-target-run', data })
}
const start = (runId: string, n: number, stepId = 'one') =>
  onTarget({ type: 'start-step', data: { runId, n, stepId, attempt: 1, epoch: 1, at: now() } })

t.test('a run is paused and goes on; each only once', async t => {
  const runId = await create('trigger-run', { jobId })
  for (const [name, type] of [
    ['pause-run', 'RunPaused'],
    ['resume-run', 'RunResumed'],
  ] as const) {
    t.match((await ok(send(name, { runId }))).events, [{ type }])
    t.same((await ok(send(name, { runId }))).events, [])
  }
  await refused(t, send('pause-run', { runId: systemIds.next() }), 404, 'run-not-found')
})

t.test('people say yes or no to what a run asks, each of them once', async t => {
  const runId = await create('trigger-run', { jobId })
  const step = { runId, stepId: 'go' }
  await refused(t, send('grant-approval', step), 409, 'approval-not-open')
  const gate = { kind: 'approval', prompt: 'really?', quorum: 2, expiresSeconds: 60 } as const
  await onRun({ type: 'open-gate', data: { ...step, gate } })
  t.match((await ok(send('grant-approval', { ...step, reason: 'seen' }))).events, [{ type: 'ApprovalGranted' }])
  t.same((await ok(send('grant-approval', step))).events, [], 'ann counts once')
  const bob = { authorization: 'Bearer bob' }
  t.match((await ok(send('grant-approval', step, bob))).events, [{}, { type: 'ApprovalQuorumReached' }])
  const other = await create('trigger-run', { jobId })
  await onRun({ type: 'open-gate', data: { runId: other, stepId: 'go', gate } })
  await refused(t, send('deny-approval', { runId: other, stepId: 'go' }), 400, 'invalid-input')
  const denied = await ok(send('deny-approval', { runId: other, stepId: 'go', reason: 'not on a Friday' }))
  t.match(denied.events, [{ type: 'ApprovalDenied' }])
  await refused(t, send('grant-approval', step, { authorization: 'Bearer eve' }), 403, 'forbidden')
})

t.test('what happens on one target is ruled in the stream of that target', async t => {
  const runId = await create('trigger-run', { jobId })
  const at = (n: number) => ({ runId, n })
  await claim(runId, 0)
  await start(runId, 0)
  await refused(t, send('cancel-step', { ...at(0), stepId: 'two' }), 409, 'step-not-running')
  const stopped = await send('cancel-step', { ...at(0), stepId: 'one', reason: 'it hangs' })
  t.match(stopped.json(), { stream: streams.targetRun(runId, 0), events: [{ type: 'StepCancellationRequested' }] })
  t.same((await ok(send('cancel-step', { ...at(0), stepId: 'one' }))).events, [])
  const cancelled = await ok(send('cancel-target-run', at(1), { 'idempotency-key': 'one-target' }))
  t.match(cancelled, { stream: streams.targetRun(runId, 1), events: [{}, { type: 'TargetRunCancelled' }] })
  t.same(await ok(send('cancel-target-run', at(1), { 'idempotency-key': 'one-target' })), cancelled)
  await refused(t, send('cancel-target-run', at(2), { 'idempotency-key': 'one-target' }), 422, 'idempotency-key-reused')
  await refused(t, send('cancel-target-run', at(7)), 404, 'target-run-not-found')
  await claim(runId, 2)
  await start(runId, 2)
  const lost = { ...at(2), stepId: 'one', attempt: 1, epoch: 1, seq: 1, at: now(), detail: 'gone' }
  await onTarget({ type: 'report-step-lost', data: lost })
  const word = { ...at(2), stepId: 'one', as: 'succeeded' }
  await refused(t, send('resolve-step', word), 400, 'invalid-input')
  await refused(t, send('resolve-step', { ...word, stepId: 'two', reason: 'x' }), 409, 'step-not-unclear')
  t.match((await ok(send('resolve-step', { ...word, reason: 'it is there' }))).events, [{ type: 'StepResolved' }])
})

t.test('a run is done again, as a whole or where it did not succeed', async t => {
  const runId = await create('trigger-run', { jobId })
  await claim(runId, 0)
  await start(runId, 0)
  const output = { bytes: 0, chunks: 0, sha256: 'a'.repeat(64), truncated: false }
  const ended = { runId, attempt: 1, epoch: 1, seq: 1, at: now(), output, exitCode: 0 }
  await onTarget({ type: 'succeed-step', data: { ...ended, n: 0, stepId: 'one' } })
  await start(runId, 0, 'two')
  await onTarget({ type: 'succeed-step', data: { ...ended, n: 0, stepId: 'two', seq: 2 } })
  await ok(send('cancel-target-run', { runId, n: 1 }))
  const requested = async (data: object) => {
    const answer = await send('rerun', data, { 'idempotency-key': systemIds.next() })
    t.equal(answer.statusCode, 201)
    const [first, second] = (await store.read(answer.json().stream)).events
    return { first: first?.data, second: second?.data }
  }
  const again = await requested({ of: runId, fromStep: 'two', reason: 'once more' })
  t.match(again, { first: { rerunOf: runId, fromStep: 'two', targets: 3 }, second: { targetIds } })
  const failed = await requested({ of: runId, only: 'failed' })
  t.match(failed.second, { targetIds: [targetIds[1]] }, 'of a run that goes on, what has ended without success')
  await ok(send('cancel-run', { runId }))
  await ok(send('cancel-target-run', { runId, n: 2 }))
  const counts = { succeeded: 1, failed: 0, cancelled: 2, needsAttention: 0 }
  await onRun({ type: 'finish-run', data: { runId, counts } })
  const over = await requested({ of: runId, only: 'failed' })
  t.match(over.second, { targetIds: targetIds.slice(1) })
  await refused(t, send('rerun', { of: systemIds.next() }), 404, 'run-not-found')
  await refused(t, send('rerun', { of: runId, fromStep: 'three' }), 400, 'invalid-input')
  const head = await store.head()
  const plan = await ok(send('rerun', { of: runId, fromStep: 'two', mode: 'plan' }))
  t.match(plan, { mode: 'plan', steps: [{ id: 'one', skipped: 'before-first-step' }, { id: 'two' }], allowed: true })
  t.match(plan.targetRuns[0].steps, [{ stepId: 'one', does: 'skipped', why: 'before-first-step' }, { does: 'runs' }])
  t.notOk('skipped' in plan.steps[1])
  t.same(await store.head(), head, 'nothing was written')
})

t.test('every run that fits is cancelled, and a repeat does no harm', async t => {
  const other = await create('define-job', { name: 'many', steps: [{ id: 'one', ...noop }], selection: { targetIds } })
  const runIds = await Promise.all([1, 2, 3].map(() => create('trigger-run', { jobId: other })))
  const [paused = '', ...queued] = runIds
  await ok(send('pause-run', { runId: paused }))
  const some = await ok(send('cancel-runs', { jobId: other, status: ['queued'], reason: 'all of it' }))
  t.equal(some.matched, 2)
  t.same(some.runs.map((run: { runId: string }) => run.runId).sort(), [...queued].sort())
  t.ok(some.runs.every((run: { cancelled: boolean }) => run.cancelled))
  for (const runId of queued) {
    const { events } = await store.read(streams.run(runId))
    t.match(events.at(-1), { type: 'RunCancellationRequested', data: { reason: 'all of it' } })
    t.match(events.at(-1)?.metadata, { command: 'cancel-runs', $causationId: some.commandId })
  }
  t.same(await typesOf(streams.run(paused)), ['RunRequested', 'TargetsResolved', 'RunPaused'])
  const key = { 'idempotency-key': 'cancel-them-all' }
  const all = await ok(send('cancel-runs', { jobId: other, initiator: 'ann' }, key))
  t.match([all.matched, all.runs.filter((run: { cancelled: boolean }) => run.cancelled).length], [3, 1])
  t.same((await ok(send('cancel-runs', { jobId: other }, key))).runs.length, 3)
  t.equal((await ok(send('cancel-runs', { jobId: other, initiator: 'nobody' }))).matched, 0)
  await refused(t, send('cancel-runs', { status: ['succeeded'] }), 400, 'invalid-input')
  await refused(t, send('cancel-runs', {}, { authorization: 'Bearer eve' }), 403, 'forbidden')
})

t.test('a plan says what would happen on each target, and nothing does', async t => {
  const credentialId = await create('create-credential', {
    ...{ name: 'deploy', username: 'deploy' },
    secret: { kind: 'password', password: 'correct horse battery staple' },
  })
  const steps = [
    { id: 'greet', uses: 'ssh.command', with: { command: 'echo ${{ params.word }} ${{ target.name }}' } },
    { id: 'first', uses: 'noop', if: "target.tags.rack == 'r0'" },
    { id: 'look', uses: 'ssh.command', with: { command: 'uname' }, outputs: { os: { as: 'text' } } },
    { id: 'tell', uses: 'ssh.command', with: { command: 'echo ${{ steps.look.outputs.os }}' } },
    { id: 'wipe', uses: 'ssh.command', with: { command: 'rm -rf ${{ params.place }}' } },
  ]
  const parameters = { word: { type: 'string', required: true }, place: { type: 'string', default: '/' } }
  const planned = await create('define-job', {
    name: 'plan',
    steps,
    parameters,
    credentialId,
    selection: { targetIds },
  })
  const before = await store.head()
  const word = `it's; reboot`
  const answer = await send('trigger-run', { jobId: planned, mode: 'plan', parameters: { word } })
  t.equal(answer.statusCode, 200, answer.body)
  t.equal(answer.headers.etag, undefined)
  const plan = answer.json()
  t.match(plan, {
    mode: 'plan',
    jobName: 'plan',
    targets: 3,
    parameters: { word },
    steps: [{ id: 'greet' }, {}, {}, {}, {}],
  })
  const [first, second] = plan.targetRuns
  t.match(first, {
    ...{ n: 0, targetId: targetIds[0], targetName: 'web-1' },
    steps: [
      { stepId: 'greet', does: 'runs', text: /'it'\\''s; reboot'[\s\S]*web-1[\s\S]*echo "\$\{opsc_1\}"/ },
      { stepId: 'first', does: 'runs' },
      { stepId: 'look', does: 'runs', text: 'uname', verdict: { decision: 'allow' } },
      { stepId: 'tell', does: 'known-later', why: 'depends on look' },
      { stepId: 'wipe', does: 'runs', verdict: { decision: 'deny', rule: 'delete-system-root' } },
    ],
  })
  t.match(plan, { allowed: false, denied: [{ stepId: 'wipe', rule: 'delete-system-root' }], more: 0 })
  t.match(second.steps[1], { stepId: 'first', does: 'skipped', why: 'condition' })
  t.same(await store.head(), before, 'nothing was written')
  await refused(t, send('trigger-run', { jobId: planned, mode: 'plan' }), 422, 'invalid-parameters')
  await refused(t, send('trigger-run', { jobId: systemIds.next(), mode: 'plan' }), 404, 'job-not-found')
  const bulk = await http.inject({
    method: 'POST',
    url: '/v1/commands',
    headers: { authorization: 'Bearer ann', 'content-type': 'application/x-ndjson' },
    payload: JSON.stringify({ command: 'trigger-run', data: { jobId: planned, mode: 'plan', parameters: { word } } }),
  })
  t.match(JSON.parse(bulk.body), { line: 1, status: 200, answer: { mode: 'plan' } })
})
