import fc from 'fast-check'
import pino from 'pino'
import t from 'tap'
import { streams } from '../schemas/events.ts'
import { History, ids } from '../test/support/made-up-log.ts'
import { eventfulRun, onTarget, runsThatEndEarly } from '../test/support/made-up-runs.ts'
import { freshReadModel } from '../test/support/read-model.ts'
import { variedHistory } from '../test/support/varied-log.ts'
import { Applier, Fenced } from './applier.ts'
import { projectorConnection } from './connection.ts'
import { Lane } from './lane.ts'
import { PoisonEvent } from './projection.ts'
import { Recent } from './recent.ts'
import { comparedTables, LIVE, tablesOf } from './schema.ts'
import { stateProjection } from './state.ts'

const at = (position: number) => ({ commit: BigInt(position), prepare: BigInt(position) })

t.test('the tables do not depend on how the log is cut into batches', async t => {
  const model = await freshReadModel(t)
  const { events } = variedHistory(400)
  await model.project(events, 500)
  const expected = await model.hashes()
  for (const table of comparedTables.filter(({ name }) => name !== 'parked_stream')) {
    t.notMatch(expected[table.name], /^0 /, `${table.name} has rows`)
  }
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), async sizes => {
      await model.empty()
      let turn = 0
      for (let i = 0; i < events.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? 1
        await model.project(events.slice(i, i + size))
        // As after a start: nothing is known that is not in the tables.
        if (turn % 3 === 0) await Promise.all([model.state.load(), model.audit.load()])
        i += size
      }
      t.same(await model.hashes(), expected, `batches of ${sizes.join(', ')}`)
    }),
    { numRuns: 6, seed: 1 },
  )
})

t.test('a rebuild reads on while it writes, and comes to the same', async t => {
  const model = await freshReadModel(t)
  const { events } = variedHistory(5_000)
  await model.project(events)
  const expected = await model.hashes()
  await model.empty()
  const applied: number[] = []
  const lane = new Lane(model.state, count => void applied.push(count))
  for (let i = 0; i < events.length; i += 700) {
    const due = events.slice(i, i + 700)
    // What was taken before is not taken again.
    await lane.take(events.slice(Math.max(0, i - 10), i + 700), due.at(-1)?.position ?? { commit: 0n, prepare: 0n })
  }
  await lane.drain()
  t.same(applied, [...Array(5).fill(1_000), events.length - 5_000])
  const found = await model.hashes()
  for (const { name } of tablesOf('state')) t.equal(found[name], expected[name], name)
})

t.test('a rebuild ends with what could not be applied', async t => {
  const model = await freshReadModel(t)
  const history = variedHistory(2_500)
  const stranger = { targetId: ids.target(99), name: 'nobody' }
  history.add(streams.target(ids.target(99)), { type: 'TargetRenamed', data: stranger })
  const early = history.events.splice(-1)
  const end = { commit: 3_000n, prepare: 3_000n }
  const lane = new Lane(model.audit, () => t.fail('nothing is applied'))
  const all = [...early, ...history.events].map((event, i) => ({ ...event, position: at(i) }))
  await t.rejects(
    lane.take(all, end).then(() => lane.drain()),
    PoisonEvent,
  )
})

t.test('a run, its target runs and its steps', async t => {
  const model = await freshReadModel(t)
  const history = new History()
  for (const n of [0, 1, 2]) history.target(n)
  history.job(0)
  const runId = history.run(0, 0, [0, 1, 2], 2)
  await model.project(history.events)
  const [run] = (await model.pool.query('select * from read_model.run')).rows
  t.match(run, {
    run_id: runId,
    job_name: 'job-0',
    status: 'partially-succeeded',
    ...{ targets: 3, queued: 0, running: 0, succeeded: 2, failed: 1, cancelled: 0, needs_attention: 0 },
    requested_at: '2026-01-01T00:00:05.000Z',
    started_at: '2026-01-01T00:00:07.000Z',
    finished_at: '2026-01-01T00:00:23.000Z',
  })
  const targets = await model.pool.query('select n, target_name, status, failure from read_model.target_run order by n')
  t.same(targets.rows, [
    { n: 0, target_name: 'web-0', status: 'succeeded', failure: null },
    { n: 1, target_name: 'web-1', status: 'failed', failure: 'exit-nonzero' },
    { n: 2, target_name: 'web-2', status: 'succeeded', failure: null },
  ])
  const steps = await model.pool.query('select n, attempt, status, exit_code, output_bytes from read_model.step_run')
  t.same(steps.rows[1], { n: 1, attempt: 1, status: 'failed', exit_code: '1', output_bytes: '12' })
  const events = await model.pool.query('select type, n from read_model.run_event order by commit limit 4')
  t.same(
    events.rows.map(row => row.type),
    ['RunRequested', 'TargetsResolved', 'RunStarted', 'TargetRunClaimed'],
  )
})

t.test('counters follow each target run while a run is under way', async t => {
  const model = await freshReadModel(t)
  const log = new History()
  const step = { runId: ids.run(0), n: 0, stepId: 'first', attempt: 1, epoch: 1 }
  const stream = streams.targetRun(ids.run(0), 0)
  log.request(0, 0, [0, 1])
  let done = 0
  const after = async (act: () => unknown) => {
    act()
    await model.project(log.events.slice(done))
    done = log.events.length
    const { rows } = await model.pool.query('select queued, running, failed, needs_attention from read_model.run')
    return Object.values(rows[0])
  }
  t.same(await after(() => {}), [2, 0, 0, 0])
  t.same(await after(() => log.claim(0, 0, 0)), [1, 1, 0, 0])
  const back = { runId: ids.run(0), n: 0, epoch: 1, seq: 1, detail: 'stopping' }
  t.same(await after(() => log.add(stream, { type: 'TargetRunHandedBack', data: back })), [2, 0, 0, 0])
  t.same(await after(() => log.claim(0, 0, 0, 2)), [1, 1, 0, 0])
  t.same(
    await after(() => log.add(stream, { type: 'StepStarted', data: { ...step, at: '2026-01-01T00:00:00Z' } })),
    [1, 1, 0, 0],
  )
  const unknown = { ...step, why: 'lease-expired', detail: 'no heartbeat' } as const
  t.same(await after(() => log.add(stream, { type: 'StepOutcomeUnknown', data: unknown })), [2, 0, 0, 0])
  const attention = { runId: ids.run(0), n: 0, targetId: ids.target(0), stepId: 'first', detail: 'ask' }
  t.same(await after(() => log.add(stream, { type: 'TargetRunNeedsAttention', data: attention })), [1, 0, 0, 1])
  const [row] = (await model.pool.query('select status, detail from read_model.step_run')).rows
  t.same(row, { status: 'unknown', detail: 'no heartbeat' })
})

t.test('a run goes through everything a run can go through', async t => {
  const model = await freshReadModel(t)
  const log = new History()
  log.job(0)
  const runId = eventfulRun(log, 0, [0, 1, 2])
  const seen: string[][] = []
  for (const event of log.events) {
    await model.project([event])
    const [row] = (
      await model.pool.query(
        'select status, queued, waiting, running, succeeded, failed, needs_attention as attention from read_model.run',
      )
    ).rows
    const { status, ...counted } = row ?? {}
    if (!row || event.type === 'TargetsResolved') continue
    const sum = Object.values<number>(counted).reduce((a, b) => a + b, 0)
    t.equal(sum, event.type === 'RunRequested' ? 0 : 3, `${event.type}: every target run is counted once`)
    if (seen.at(-1)?.[1] !== status) seen.push([event.type, status])
  }
  t.same(seen, [
    ['RunRequested', 'queued'],
    ['RunStarted', 'running'],
    ['RunPaused', 'paused'],
    ['RunResumed', 'running'],
    ['ApprovalRequested', 'awaiting-approval'],
    ['ApprovalQuorumReached', 'running'],
    ['RunNeedsAttention', 'needs-attention'],
    ['StepResolved', 'running'],
    ['RunPartiallySucceeded', 'partially-succeeded'],
  ])
  const steps = await model.pool.query(
    'select n, step_id, attempt, status, detail, outputs, retry_at, waits_until from read_model.step_run order by n, started_at, step_id, attempt',
  )
  const later = '2026-01-02T00:00:00.000Z'
  const version = { version: '1.2' }
  t.match(steps.rows, [
    { n: 0, step_id: 'install', attempt: 1, status: 'failed', retry_at: later, outputs: null },
    { n: 0, step_id: 'install', attempt: 2, status: 'succeeded', retry_at: null, outputs: version },
    { n: 0, step_id: 'rest', attempt: 1, status: 'succeeded', waits_until: later },
    { n: 1, step_id: 'check', attempt: 1, status: 'failed', detail: 'exit code 3' },
    { n: 1, step_id: 'install', attempt: 1, status: 'succeeded' },
    { n: 1, step_id: 'install.undo', attempt: 1, status: 'succeeded' },
    { n: 2, step_id: 'install', attempt: 1, status: 'succeeded', detail: 'resolved, succeeded: looked at it' },
  ])
  const gates = await model.pool.query('select * from read_model.run_gate order by opened_commit')
  t.match(gates.rows, [
    { run_id: runId, step_id: 'go', kind: 'approval', status: 'passed', quorum: 2, granted: 2, job_name: 'job-0' },
    { run_id: runId, step_id: 'other', kind: 'job-run', status: 'passed', sub_run_id: ids.run(900) },
  ])
  t.match(gates.rows[0].decisions, [
    { by: { id: 'ada' }, granted: true, reason: 'seen' },
    { by: { id: 'ada' }, granted: true, reason: 'seen' },
  ])
  const targets = await model.pool.query(
    'select status, step_id, cancel_requested, failure from read_model.target_run order by n',
  )
  t.same(targets.rows, [
    { status: 'succeeded', step_id: null, cancel_requested: false, failure: null },
    { status: 'failed', step_id: null, cancel_requested: false, failure: 'exit-nonzero' },
    { status: 'succeeded', step_id: null, cancel_requested: true, failure: null },
  ])
  const { rows: audit } = await model.pool.query(
    'select type, before, after, outcome, justification from read_model.audit order by commit',
  )
  const of = (type: string) => audit.find(row => row.type === type)
  t.match(of('RunPaused'), {
    before: { status: 'running' },
    after: { status: 'paused', paused: true },
    justification: 'lunch',
  })
  t.match(of('ApprovalGranted'), { before: { granted: null }, after: { granted: 1 } })
  t.match(of('ApprovalRequested'), {
    before: { awaiting: null },
    after: { awaiting: 'go', status: 'awaiting-approval' },
  })
  t.match(of('StepRetryScheduled'), { before: { status: 'running' }, after: { status: 'waiting' } })
  t.match(of('StepResolved'), {
    before: { status: 'needs-attention' },
    after: { status: 'queued' },
    justification: 'looked at it',
  })
})

t.test('a target run that did its part of the steps is free until it goes on', async t => {
  const model = await freshReadModel(t)
  const log = new History()
  log.request(0, 0, [0])
  const target = onTarget(log, 0, 0, 0)
  const statuses: string[] = []
  let done = 0
  const after = async (act: () => unknown) => {
    act()
    await model.project(log.events.slice(done))
    done = log.events.length
    statuses.push((await model.pool.query('select status from read_model.target_run')).rows[0].status)
  }
  await after(() => target.claim(['a', 'b', 'c'], ['a', 'b']))
  await after(() => target.start('a'))
  await after(() => target.succeed('a'))
  await after(() => target.start('b'))
  await after(() => target.succeed('b'))
  await after(() => target.claim(['a', 'b', 'c'], ['c'], 2))
  t.same(statuses, ['claimed', 'running', 'running', 'running', 'queued', 'claimed'])
})

t.test('what has not ended ends with its run', async t => {
  const model = await freshReadModel(t)
  const log = new History()
  runsThatEndEarly(log, 0, [0, 1])
  await model.project(log.events, 3)
  const runs = await model.pool.query(
    'select status, queued, waiting, cancelled, stopped, awaiting from read_model.run order by requested_commit',
  )
  t.same(runs.rows, [
    { status: 'rejected', queued: 0, waiting: 0, cancelled: 2, stopped: false, awaiting: null },
    { status: 'timed-out', queued: 0, waiting: 0, cancelled: 2, stopped: true, awaiting: null },
  ])
  const targets = await model.pool.query('select distinct status from read_model.target_run')
  t.same(targets.rows, [{ status: 'cancelled' }])
  const gates = await model.pool.query('select status from read_model.run_gate order by opened_commit')
  t.same(gates.rows, [{ status: 'denied' }, { status: 'withdrawn' }])
})

t.test('two projectors at once: the slower one is fenced and nothing is doubled', async t => {
  const model = await freshReadModel(t)
  const { events } = variedHistory(60)
  await model.project(events.slice(0, 30))
  const line = projectorConnection(model.url, pino({ level: 'silent' }), LIVE)
  t.teardown(() => line.close())
  const other = new Applier(stateProjection, line)
  await other.load()
  await model.state.apply(events.slice(30, 40))
  await t.rejects(other.apply(events.slice(30, 45)), Fenced)
  const { position } = await other.load()
  t.equal(position?.commit, 39n)
  await other.apply(events.slice(40))
  const { rows } = await model.pool.query('select count(*)::int as versions from read_model.resource_version')
  const expected = events.filter(e => /^(target|credential|job)-/.test(e.stream)).length
  t.equal(rows[0].versions, expected)
})

t.test('an event that cannot be applied parks its stream; all else goes on, however the log is cut', async t => {
  const model = await freshReadModel(t)
  const history = new History()
  for (const n of [0, 1]) history.target(n)
  history.job(0)
  history.request(0, 0, [0, 1])
  const stranger = { targetId: ids.target(9), name: 'nobody' }
  const lost = history.add(streams.target(ids.target(9)), { type: 'TargetRenamed', data: stranger })
  history.add(streams.target(ids.target(9)), { type: 'TargetRenamed', data: stranger })
  history.claim(0, 0, 0)
  // Refused by the database, not by the fold.
  history.claim(0, 1, 1, 2 ** 40)
  const step = { runId: ids.run(0), n: 1, stepId: 'first', attempt: 1, epoch: 1, at: '2026-01-01T00:00:00Z' }
  history.add(streams.targetRun(ids.run(0), 1), { type: 'StepStarted', data: step })
  const targetId = ids.target(1)
  history.add(streams.target(targetId), { type: 'TargetRenamed', data: { targetId, name: 'still-here' } })
  const tables: unknown[] = []
  for (const size of [500, 1, 4]) {
    await model.empty()
    for (let i = 0; i < history.events.length; i += size) await model.state.apply(history.events.slice(i, i + size))
    tables.push(await model.hashes())
  }
  t.same(tables[1], tables[0])
  t.same(tables[2], tables[0])
  const { rows } = await model.pool.query(
    'select stream, revision, error from read_model.parked_stream order by commit',
  )
  t.match(rows, [
    { stream: lost.stream, revision: '0', error: /nothing this event could change/ },
    { stream: `targetrun-${ids.run(0)}.1`, revision: '0', error: /out of range/ },
  ])
  const names = await model.pool.query(
    'select name from read_model.resource_version where valid_to is null order by id',
  )
  t.ok(names.rows.some(row => row.name === 'still-here'))
  const runs = await model.pool.query('select n, status from read_model.target_run order by n')
  t.same(runs.rows, [
    { n: 0, status: 'claimed' },
    { n: 1, status: 'queued' },
  ])
})

t.test('the ledger stands still at an event it cannot apply, and leaves none out', async t => {
  const model = await freshReadModel(t)
  const history = new History()
  history.target(0)
  const stranger = { targetId: ids.target(9), name: 'nobody' }
  history.add(streams.target(ids.target(9)), { type: 'TargetRenamed', data: stranger })
  await t.rejects(model.audit.apply(history.events), PoisonEvent)
  t.equal((await model.audit.load()).position, undefined)
  await model.audit.apply(history.events.slice(0, 1))
  await t.rejects(model.audit.apply(history.events.slice(1)), PoisonEvent)
  t.equal((await model.audit.load()).position?.commit, 0n)
})

t.test('the ledger says who did what to which resource, and how it turned out', async t => {
  const model = await freshReadModel(t)
  const history = new History()
  history.credential(0)
  history.target(0)
  history.job(0)
  const runId = history.run(0, 0, [0], 1)
  const release = { credentialId: ids.credential(0), version: 1, runId, n: 0, executorId: 'executor-1', epoch: 1 }
  const denied = { ...release, code: 'stale-epoch' } as const
  history.add(streams.release(runId, 0), { type: 'CredentialReleaseDenied', data: denied })
  const commandId = ids.job(7)
  const rejected = { commandId, command: 'cancel-run', code: 'forbidden', detail: 'no' }
  history.add(streams.command(commandId), { type: 'CommandRejected', data: rejected })
  const received = { commandId, command: 'cancel-run', bodyDigest: 'd'.repeat(64), stream: streams.run(runId) }
  history.add(streams.command(commandId), { type: 'CommandReceived', data: received })
  const about = {
    ...rejected,
    commandId: ids.job(8),
    code: 'target-decommissioned',
    stream: streams.target(ids.target(0)),
  }
  history.add(streams.command(about.commandId), { type: 'CommandRejected', data: about })
  const more = { commandId: ids.job(9), since: '2026-03-01T12:00:00.000Z', count: 412, codes: { forbidden: 412 } }
  history.add(streams.command(more.commandId), { type: 'CommandRefusalsCounted', data: more })
  await model.project(history.events)
  const { rows } = await model.pool.query(`select type, resource_type as kind, resource_id as id, resource_name as name,
    run_id as run, outcome, reason_code as code, before, after from read_model.audit order by commit desc`)
  const of = (type: string) => rows.find(row => row.type === type)
  t.match(of('CommandReceived'), { kind: 'run', id: runId, name: 'job-0', run: runId, outcome: 'success' })
  t.match(
    rows.filter(row => row.type === 'CommandRejected'),
    [
      { kind: 'target', id: ids.target(0), name: 'web-0', outcome: 'failure', code: 'target-decommissioned' },
      { kind: 'command', id: commandId, outcome: 'denied', code: 'forbidden' },
    ],
  )
  t.match(of('CommandRefusalsCounted'), { kind: 'command', id: more.commandId, outcome: 'denied' })
  t.match(of('CredentialReleaseDenied'), { kind: 'credential', name: 'deploy-0', run: runId, outcome: 'denied' })
  t.match(of('StepFailed'), { kind: 'target-run', id: `${runId}.0`, name: 'web-0', code: 'exit-nonzero' })
  t.same(of('TargetRunFailed')?.before, { status: 'running' })
  t.same(of('TargetRunFailed')?.after, { status: 'failed' })
  t.match(of('RunFailed'), { kind: 'run', name: 'job-0', outcome: 'failure', before: { status: 'running' } })
  t.same(of('CredentialVersionAdded')?.after.latestVersion, 1)
  t.notMatch(JSON.stringify(rows), /password.*correct/)
})

t.test('time does not run backwards when the clock of the log does', async t => {
  const model = await freshReadModel(t)
  const history = new History()
  const targetId = history.target(0)
  const earlier = { recordedAt: '2020-01-01T00:00:00.000Z' }
  history.add(streams.target(targetId), { type: 'TargetRenamed', data: { targetId, name: 'b' } }, earlier)
  await model.project(history.events, 1)
  const { rows } = await model.pool.query(
    'select valid_from_time, valid_to_time from read_model.resource_version order by revision',
  )
  t.same(rows[1], { valid_from_time: '2026-01-01T00:00:00.000Z', valid_to_time: null })
  const [row] = (await model.pool.query('select time, recorded_at from read_model.audit where revision = 1')).rows
  t.same(row, { time: '2026-01-01T00:00:00.000Z', recorded_at: earlier.recordedAt })
})

t.test('what was used longest ago is forgotten first', async t => {
  const recent = new Recent<number>(2)
  for (const n of [1, 2]) recent.set(`row ${n}`, n)
  recent.set('row 3', 3)
  t.equal(recent.get('row 1'), 1)
  for (const n of [4, 5]) recent.set(`row ${n}`, n)
  t.equal(recent.get('row 1'), 1, 'used after it was set')
  t.equal(recent.get('row 2'), undefined)
  t.equal(recent.get('row 5'), 5)
})
