import { pino } from 'pino'
import t, { type Test } from 'tap'
import { subjects } from '../schemas/bus.ts'
import { startBroker, type TestBroker } from '../test/support/broker.ts'
import { startNatsServer } from '../test/support/nats-server.ts'
import { programOrSkip } from '../test/support/packages.ts'
import { rawNats } from '../test/support/raw-nats.ts'
import { connectBus } from './bus.ts'
import { brokerUsers } from './nats-permissions.ts'

const password = (user: string) => `password of ${user}`
const users = brokerUsers([{ executorId: 'east-1' }, { executorId: 'west-1' }], password)
const run = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'

const own = {
  publish: [
    ...[subjects.enrol, subjects.pull('east'), subjects.pull('west'), subjects.vaultRelease],
    ...[subjects.heartbeat('east-1'), subjects.report('east-1'), subjects.output('east-1')],
    ...[subjects.artifactPut('east-1'), subjects.artifactGet('east-1')],
  ],
  subscribe: [subjects.control('east-1'), '_INBOX.east-1.*', '_INBOX.east-1.>'],
}
const foreign = {
  publish: [
    ...[subjects.heartbeat('west-1'), subjects.report('west-1'), subjects.output('west-1')],
    ...[subjects.artifactPut('west-1'), subjects.artifactGet('west-1')],
    ...[subjects.control('west-1'), subjects.control('east-1'), subjects.live(run), subjects.projected],
    ...[subjects.vaultSeal, subjects.vaultPublicKey, '_INBOX.west-1.answer', '_INBOX.workers.answer'],
    ...[subjects.revoked, subjects.revocations],
    ...['_INBOX.east-1.answer', '$SYS.REQ.SERVER.PING', '$JS.API.INFO', 'anything'],
  ],
  subscribe: [
    ...[subjects.control('west-1'), subjects.control('*'), subjects.reportAll, subjects.report('west-1')],
    ...[subjects.outputAll, subjects.heartbeatAll, subjects.pullAll, subjects.pull('east'), subjects.enrol],
    ...[subjects.vaultRelease, subjects.vaultSeal, subjects.live(run), subjects.live('*'), subjects.projected],
    ...[subjects.artifactPutAll, subjects.artifactGetAll, subjects.artifactGet('west-1')],
    ...[subjects.revoked, subjects.revocations],
    ...['_INBOX.>', '_INBOX.*', '_INBOX.west-1.>', '_INBOX.workers.>', '_INBOX.*.>'],
    ...['>', '*', 'opsc.>', 'opsc.*.v1.>', '$SYS.>', '$JS.>'],
  ],
}

/** What the broker says to one line of the protocol, asked on a connection of its own: some hang up after a refusal. */
async function refusals(broker: TestBroker, line: string): Promise<string> {
  const raw = await rawNats(broker.port, { user: 'east-1', pass: password('east-1'), verbose: false })
  raw.send(`PING\r\n`)
  await raw.until(/PONG\r\n/)
  raw.send(`${line}\r\nPING\r\n`)
  const said = await raw.until(/PONG\r\n/)
  raw.close()
  return said
}

async function holds(t: Test, broker: TestBroker) {
  for (const subject of own.publish)
    t.notMatch(await refusals(broker, `PUB ${subject} 2\r\nhi`), /-ERR/, `says ${subject}`)
  for (const subject of own.subscribe)
    t.notMatch(await refusals(broker, `SUB ${subject} 1`), /-ERR/, `hears ${subject}`)
  for (const subject of foreign.publish)
    t.match(
      await refusals(broker, `PUB ${subject} 2\r\nhi`),
      /-ERR 'Permissions Violation for Publish/,
      `not ${subject}`,
    )
  for (const subject of foreign.subscribe)
    t.match(
      await refusals(broker, `SUB ${subject} 1`),
      /-ERR 'Permissions Violation for Subscription/,
      `not ${subject}`,
    )
}

t.test('on the embedded broker an executor neither hears nor speaks for others', async t => {
  await holds(t, await startBroker(t, { users }))
})

t.test('on nats-server as well', async t => {
  if (programOrSkip(t, 'nats-server')) await holds(t, await startNatsServer(t, { users }))
})

t.test('an executor is not called like a part of the control plane, nor like another', async t => {
  for (const executorId of ['api', 'workers', 'vault'])
    t.throws(() => brokerUsers([{ executorId }], password), /another name/)
  t.throws(() => brokerUsers([{ executorId: 'a' }, { executorId: 'a' }], password), /another name/)
})

t.test('nobody is made to speak where the one who asks may not', async t => {
  const { url, port } = await startBroker(t)
  const bus = await connectBus({ url, name: 'spec', log: pino({ level: 'silent' }) })
  t.teardown(() => bus.close())
  bus.subscribe('ask', message => message.reply('told'))
  await bus.flush()
  const raw = await rawNats(port)
  const victim = subjects.control('west-1')
  raw.send(`SUB ${victim} 1\r\nSUB _INBOX.x 2\r\nPUB ask ${victim} 0\r\n\r\nPUB ask _INBOX.x 0\r\n\r\n`)
  t.notMatch(await raw.until(/MSG _INBOX\.x 2 4\r\ntold/), new RegExp(`MSG ${victim}`))
  raw.close()
})
