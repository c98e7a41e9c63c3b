import { mkdirSync, statSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { createClient } from '../../cli/client.ts'
import { createApiKey } from '../../infra/api-keys.ts'
import { brokerUsers } from '../../infra/nats-permissions.ts'
import { startBroker } from '../support/broker.ts'
import { startCli } from '../support/cli.ts'
import { startEventStore } from '../support/event-store.ts'
import { programOrSkip } from '../support/packages.ts'
import { freshDatabase } from '../support/postgres.ts'
import { until } from '../support/process.ts'
import { startRole } from '../support/role.ts'
import { startSshd } from '../support/sshd.ts'
import { command, SystemClient } from '../support/system-client.ts'

const password = (user: string) => `password of ${user}`
const executors = ['east-1', 'east-2']

/** The control plane, role by role, on a broker that knows two executors which are not there yet. */
async function controlPlane(t: Test) {
  const users = brokerUsers(
    executors.map(executorId => ({ executorId })),
    password,
  )
  const [events, broker, database] = await Promise.all([
    startEventStore(t),
    startBroker(t, { users }),
    freshDatabase(t),
  ])
  const folder = t.testdir()
  const keys = path.join(folder, 'api-keys.json')
  const key = createApiKey(keys, 'spec', { now: new Date().toISOString() })
  const env = (user: string) => ({
    OPSCONDUCTOR_DATA_DIR: path.join(folder, 'data'),
    OPSCONDUCTOR_API_KEYS_FILE: keys,
    OPSCONDUCTOR_PORT: '0',
    OPSCONDUCTOR_EVENTSTORE_URL: events.connectionString,
    OPSCONDUCTOR_POSTGRES_URL: database.url,
    OPSCONDUCTOR_NATS_URL: broker.urlFor(user),
  })
  await startRole(t, 'vault', env('vault'))
  const [api] = await Promise.all([startRole(t, 'api', env('api')), startRole(t, 'workers', env('workers'))])
  const url = api.endpoints.url ?? ''
  const cli = async (...argv: string[]) => {
    const env = { OPSCONDUCTOR_URL: url, OPSCONDUCTOR_API_KEY: key }
    const { code, out, err } = await startCli(['executor', ...argv, '-o', 'json'], { env }).ended
    if (code !== 0) throw new Error(err)
    return JSON.parse(out)
  }
  return { api: new SystemClient(createClient(url, key)), broker, folder, cli }
}

t.test('an executor far away is given the address of the broker and a token, and nothing else', async t => {
  const whole = t
  if (!programOrSkip(t, 'openssh-server')) return
  const { api, broker, folder, cli } = await controlPlane(t)
  const sshd = await startSshd(t)
  const listed = (id: string) => api.http.get<Record<string, unknown>>(`/v1/executors/${id}`)
  const token = async (executorId: string) => {
    const answer = await cli('token', executorId, '--pool', 'east', '--label', 'site=east', '--expires', '600')
    return String(answer.token)
  }
  const far = async (executorId: string, more: Record<string, string>) => {
    const own = path.join(folder, executorId)
    mkdirSync(own)
    const reached = { OPSCONDUCTOR_NATS_URL: broker.urlFor(executorId), OPSCONDUCTOR_EXECUTOR_ID: executorId }
    const role = await startRole(t, 'executor', { OPSCONDUCTOR_DATA_DIR: own, ...reached, ...more })
    return { role, folder: own }
  }

  const eastToken = await token('east-1')
  t.match(eastToken, /^opsce_[\w-]{43}$/)
  await until(
    'the invitation is seen',
    async () => (await listed('east-1').catch(() => undefined))?.status === 'invited',
  )
  const east = await far('east-1', { OPSCONDUCTOR_ENROLMENT_TOKEN: eastToken })
  await until('it is enrolled and heard of', async () => {
    const { status, lastSeen } = await listed('east-1')
    return status === 'enrolled' && lastSeen !== null
  })
  t.match(await listed('east-1'), {
    ...{ status: 'enrolled', pool: 'east', labels: { site: 'east' }, version: '0.1.0', protocol: 1 },
    ...{ tokenExpiresAt: null, capacity: 128, busy: 0 },
  })
  t.equal(statSync(path.join(east.folder, 'executor/identity.pem')).mode & 0o777, 0o600)

  const credentialId = await api.credential(sshd.privateKey, sshd.username)
  const targetId = await api.target('web-1', { port: sshd.port, credentialId, hostKey: sshd.hostKey })
  const jobId = await api.job([command('echo done far away')], { pool: 'east' })
  const work = async () => {
    let printed = ''
    const runId = await api.trigger(jobId, [targetId])
    await api.follow(runId, text => {
      printed += text
    })
    return { printed, ...(await api.ended(runId)) }
  }
  t.match(await work(), { printed: 'done far away\n', run: { status: 'succeeded' }, target: { executorId: 'east-1' } })

  await t.test('it comes back without a token, and works on', async t => {
    await east.role.kill9()
    const reached = { OPSCONDUCTOR_NATS_URL: broker.urlFor('east-1'), OPSCONDUCTOR_EXECUTOR_ID: 'east-1' }
    await startRole(whole, 'executor', { OPSCONDUCTOR_DATA_DIR: east.folder, ...reached })
    t.match(await work(), { run: { status: 'succeeded' }, target: { executorId: 'east-1' } })
  })

  await t.test('it is drained, resumed and shown from the command line', async t => {
    t.match(await cli('drain', 'east-1', 'kernel update'), { events: [{ type: 'ExecutorDrained' }] })
    t.match(await cli('list', '--status', 'draining'), [{ executorId: 'east-1', status: 'draining', pool: 'east' }])
    const runId = await api.trigger(jobId, [targetId])
    t.match(await cli('resume', 'east-1'), { events: [{ type: 'ExecutorResumed' }] })
    t.match((await api.ended(runId)).run, { status: 'succeeded' })
    t.match(await cli('move', 'east-1', 'west'), { events: [{ type: 'ExecutorMovedToPool' }] })
    t.match(await cli('show', 'east-1'), { status: 'enrolled', pool: 'west' })
    t.match(await cli('move', 'east-1', 'east'), { events: [{ type: 'ExecutorMovedToPool' }] })
    const history = await api.http.list<{ eventType: string; position: string }>('/v1/executors/east-1/history')
    t.same(
      history.map(({ eventType }) => eventType).slice(-2),
      ['ExecutorEnrolled', 'EnrolmentTokenIssued'],
      'newest first',
    )
    const before = await api.http.get('/v1/executors/east-1', {
      asOf: `@${history.at(-1)?.position}`,
    })
    t.match(before, { status: 'invited', lastSeen: undefined })
    const blame: { fields: Record<string, { eventType: string }> } = await api.http.get('/v1/executors/east-1/blame')
    t.equal(blame.fields.pool?.eventType, 'ExecutorMovedToPool')
  })

  await t.test('one that is revoked gets no work, another takes it once it has a token of its own', async t => {
    const stranger = await far('east-2', { OPSCONDUCTOR_ENROLMENT_TOKEN: eastToken })
    await api.http.command('revoke-executor', { executorId: 'east-1', reason: 'the machine is given back' })
    const runId = await api.trigger(jobId, [targetId])
    await until('the revocation is seen', async () => (await listed('east-1')).status === 'revoked')
    await t.rejects(listed('east-2'), { message: /executor/ }, 'the token of another did not let it in')
    const isKnown = () => api.http.get(`/v1/runs/${runId}`).then(Boolean, () => false)
    await until('the run is listed', isKnown)
    t.match(await api.http.get(`/v1/runs/${runId}`), { status: /queued|running/, counts: { succeeded: 0 } })
    await stranger.role.kill9()
    const own = { OPSCONDUCTOR_NATS_URL: broker.urlFor('east-2'), OPSCONDUCTOR_EXECUTOR_ID: 'east-2' }
    const withToken = { ...own, OPSCONDUCTOR_ENROLMENT_TOKEN: await token('east-2') }
    await startRole(whole, 'executor', { OPSCONDUCTOR_DATA_DIR: stranger.folder, ...withToken })
    t.match(await api.ended(runId), { run: { status: 'succeeded' }, target: { executorId: 'east-2' } })
  })
})
