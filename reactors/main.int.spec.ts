import pino from 'pino'
import t, { type Test } from 'tap'
import { connectBus } from '../infra/bus.ts'
import { loadConfig } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { type RunningRole, runStages } from '../infra/lifecycle.ts'
import { createPool, migrate } from '../infra/postgres.ts'
import { streams } from '../schemas/events.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { ExecutorSide } from '../test/support/executor-side.ts'
import { freshDatabase } from '../test/support/postgres.ts'
import { resourcesIn } from '../test/support/resources.ts'
import { start } from './main.ts'

const log = pino({ level: 'silent' })

async function world(t: Test) {
  const [node, broker, { url }] = await Promise.all([startEventStore(t), startBroker(t), freshDatabase(t)])
  const store = connectEventStore(node.connectionString)
  const bus = await connectBus({ url: broker.url, name: 'executor', log })
  const pool = createPool(url, log)
  await migrate(pool, log)
  const running = new Set<RunningRole>()
  const stop = async (role: RunningRole) => {
    running.delete(role)
    if (!(await runStages(role.stop, log))) throw new Error('did not stop in order')
  }
  t.teardown(async () => {
    for (const role of running) await stop(role)
    await Promise.all([bus.close(), pool.end()])
    await store.close()
  })
  return {
    ...resourcesIn(store),
    pool,
    stop,
    executor: new ExecutorSide(bus, resourcesIn(store).enrol),
    async role(postgresUrl = url) {
      const config = loadConfig({
        OPSCONDUCTOR_EVENTSTORE_URL: node.connectionString,
        OPSCONDUCTOR_NATS_URL: broker.url,
        OPSCONDUCTOR_POSTGRES_URL: postgresUrl,
      })
      const role = await start(config, log)
      running.add(role)
      return role
    },
  }
}

const notNow = (role: RunningRole) => Promise.resolve(role.ready()).then(checks => checks.find(check => !check.ok))
const detailOf = async (role: RunningRole) =>
  (await role.ready()).map(check => check.detail).find(detail => detail !== undefined)

t.test('one process works, the other takes over with what the first one knew', async t => {
  const { role, executor, credential, targets, job, trigger, stop, types, pool } = await world(t)
  const first = await role()
  t.same(await executor.pull(1, 10), [], 'at work')
  t.equal(await notNow(first), undefined)
  const second = await role()
  t.match(await detailOf(second), /another process is at work/)
  t.equal(await notNow(second), undefined, 'waiting is as it should be')

  const credentialId = await credential()
  const targetIds = await targets(2, credentialId)
  const jobId = await job({ maxParallel: 1 })
  const runId = await trigger(jobId, targetIds, credentialId)
  const [claimed] = await executor.pull()
  if (!claimed) throw new Error('nothing to run')
  await stop(first)
  const { rows } = await pool.query('select commit from reactors.checkpoint')
  t.equal(rows.length, 1)
  await executor.work(claimed)
  const [next] = await executor.pull()
  t.match(next, { runId, epoch: 1 })
  if (next) await executor.work(next)
  t.same(await executor.pull(1, 200), [], 'nothing more')
  t.ok((await types(streams.run(runId))).includes('RunSucceeded'))
  await stop(second)
  const after = await pool.query('select commit from reactors.checkpoint')
  t.ok(BigInt(after.rows[0].commit) > BigInt(rows[0].commit), 'past the run that ended')
})

t.test('without Postgres runs go on, and output is refused', async t => {
  const { role, executor, credential, targets, job, trigger } = await world(t)
  await role('postgres://nobody@127.0.0.1:1/nothing')
  const credentialId = await credential()
  await trigger(await job(), await targets(1, credentialId), credentialId)
  const [assignment] = await executor.pull()
  if (!assignment) throw new Error('nothing to run')
  await t.rejects(executor.output([executor.chunk(assignment, 1, 'one')]), { code: 'internal' })
  t.match(await executor.startStep(assignment), { status: 'recorded' })
  t.match(await executor.succeedStep(assignment), { status: 'recorded' })
})

t.test('a setting that is missing is named', async t => {
  await t.rejects(start(loadConfig({}), log), { message: /OPSCONDUCTOR_EVENTSTORE_URL/ })
})
