import { Writable } from 'node:stream'
import { pino } from 'pino'
import t from 'tap'
import { connectEventStore } from '../infra/event-store/client.ts'
import { sha256Hex } from '../infra/ids.ts'
import { streams } from '../schemas/events.ts'
import { commandApi } from '../test/support/command-api.ts'
import { refused } from '../test/support/commanding.ts'
import { startEventStore } from '../test/support/event-store.ts'

const lines: string[] = []
const sink = new Writable({
  write(chunk, _, done) {
    lines.push(String(chunk))
    done()
  },
})
const node = await startEventStore(t)
const store = connectEventStore(node.connectionString)
// Registered first, so that it comes last.
t.teardown(() => store.close())
const vault = { seal: () => Promise.reject(new Error('nothing is sealed here')) }
const { send } = await commandApi(t, { store, vault, log: pino({ level: 'debug' }, sink) })
const ask = async (executorId: string, headers = {}) => {
  const answer = await send('create-enrolment-token', { executorId, pool: 'east', expiresSeconds: 60 }, headers)
  return { status: answer.statusCode, ...answer.json() }
}
const stored = async (stream: string) => JSON.stringify((await store.read(stream)).events.map(event => event.data))

t.test('a token is in the answer, and its digest alone anywhere else', async t => {
  const { status, token, expiresAt, stream, commandId } = await ask('east-1', { 'idempotency-key': 'first' })
  t.equal(status, 200)
  t.match(token, /^opsce_[A-Za-z0-9_-]{43}$/)
  t.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 60_000) < 10_000)
  t.equal(stream, streams.executor('east-1'))
  const history = await stored(stream)
  t.ok(history.includes(sha256Hex(token)))
  for (const text of [history, await stored(streams.command(commandId)), lines.join('')]) {
    t.notOk(text.includes(token))
    t.notOk(text.includes(token.slice('opsce_'.length)))
  }

  const again = await ask('east-1', { 'idempotency-key': 'first' })
  t.match(again, { status: 200, token: null, expiresAt: null, commandId, notice: /shown in the first answer/ })
  t.equal(again.events[0].type, 'EnrolmentTokenIssued')
  t.equal((await store.read(stream)).events.length, 1, 'nothing new was issued')
})

t.test('each request for a token makes a new one, and the newest counts', async t => {
  const [one, other] = [await ask('east-2'), await ask('east-2')]
  t.not(one.token, other.token)
  t.equal((await store.read(streams.executor('east-2'))).events.length, 2)
})

t.test('what cannot be asked of an executor is refused', async t => {
  await refused(t, send('create-enrolment-token', { executorId: 'East 1' }), 400, 'invalid-input')
  await refused(t, send('create-enrolment-token', { executorId: 'e', expiresSeconds: 5 }), 400, 'invalid-input')
  await refused(t, send('enrol-executor', { executorId: 'east-1' }), 404, 'unknown-command')
  await refused(t, send('drain-executor', { executorId: 'nobody' }), 404, 'executor-not-found')
  await refused(t, send('drain-executor', { executorId: 'east-1' }), 409, 'executor-not-enrolled')
  t.equal((await send('revoke-executor', { executorId: 'east-1', reason: 'never came' })).statusCode, 200)
  await refused(t, send('resume-executor', { executorId: 'east-1' }), 409, 'executor-revoked')
})
