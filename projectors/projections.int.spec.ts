import fc from 'fast-check'
import pino from 'pino'
import t from 'tap'
import { streams } from '../schemas/events.ts'
import { History, ids, variedHistory } from '../test/support/made-up-log.ts'
import { freshReadModel } from '../test/support/read-model.ts'
import { Applier, Fenced } from './applier.ts'
import { projectorConnection } from './connection.ts'
import { comparedTables, LIVE } from './schema.ts'
import { stateProjection } from './state.ts'

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
      await model.project(events, () => sizes[turn++ % sizes.length] ?? 1)
      t.same(await model.hashes(), expected, `batches of ${sizes.join(', ')}`)
    }),
    { numRuns: 8, seed: 1 },
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
  t.same(steps.rows[1], { n: 1, attempt: 1, status: 'failed', exit_code: 1, output_bytes: '12' })
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
