import t, { type Test } from 'tap'
import { z } from 'zod'
import { startBroker, type TestBroker } from '../test/support/broker.ts'
import { until } from '../test/support/process.ts'
import {
  type Bus,
  BusBadPayload,
  BusClosed,
  BusDenied,
  type BusLog,
  type BusMessage,
  BusMisuse,
  BusNoResponders,
  BusRemoteError,
  type BusStatus,
  BusTimeout,
  BusUnavailable,
  connectBus,
  inboxPrefix,
  publishJson,
  requestJson,
  subscribeJson,
} from './bus.ts'

type Line = { level: string; fields: Record<string, unknown>; message: string }

/** A log whose lines can be read, and waited for. */
function notebook() {
  const lines: Line[] = []
  let wake = () => {}
  const write = (level: string) => (fields: unknown, message?: string) => {
    const text = typeof fields === 'string' ? fields : (message ?? '')
    lines.push({ level, fields: typeof fields === 'object' ? { ...fields } : {}, message: text })
    wake()
  }
  const log: BusLog = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const until = async (message: string): Promise<Line> => {
    for (;;) {
      const line = lines.find(each => each.message === message)
      if (line) return line
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  return { log, lines, until }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

async function connected(t: Test, url: string, log = notebook().log): Promise<Bus> {
  const bus = await connectBus({ url, name: 'spec', log, startTimeoutMs: 10_000 })
  t.teardown(() => bus.close())
  return bus
}

function latch() {
  let resolve = () => {}
  const promise = new Promise<void>(done => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}

const reaches = (bus: Bus, wanted: BusStatus) =>
  new Promise<void>(resolve => {
    const stop = bus.onStatus(status => {
      if (status !== wanted) return
      stop()
      resolve()
    })
  })

t.test('start-up', async t => {
  const broker = await startBroker(t)
  await broker.stop()

  await t.test('says where it looked, and nothing secret, when nobody answers', async t => {
    const url = `nats://ann:s3cret@127.0.0.1:${broker.port}`
    const failed = connectBus({ url, name: 'spec', log: notebook().log, startTimeoutMs: 300 })
    await t.rejects(failed, {
      name: 'BusUnavailable',
      message: new RegExp(`^No NATS broker answered at 127.0.0.1:${broker.port} within 0.3 s \\((?!.*s3cret).*\\)$`),
    })
    await t.rejects(connectBus({ url: 'redis://x', name: 'spec', log: notebook().log }), BusMisuse)
  })

  await t.test('waits for the broker', async t => {
    const { log, until } = notebook()
    const bus = connected(t, broker.url, log)
    await until('waiting for the broker')
    await broker.restart()
    t.equal((await bus).status(), 'connected')
    await (await bus).flush()
  })

  await t.test('does not wait where the credentials are wrong', async t => {
    const closed = await startBroker(t, { token: 'right' })
    const failed = connectBus({ url: `nats://wrong@127.0.0.1:${closed.port}`, name: 'spec', log: notebook().log })
    await t.rejects(failed, new BusUnavailable(`The broker at 127.0.0.1:${closed.port} refused the credentials`))
  })

  t.test('answers of one user go where no other listens', async t => {
    t.equal(inboxPrefix(undefined), '_INBOX')
    t.equal(inboxPrefix('executor-1'), '_INBOX.executor-1')
    t.equal(inboxPrefix('a.b'), '_INBOX', 'never more than one token')
    const users = [{ user: 'ann', password: 'p', permissions: { subscribe: { allow: ['_INBOX.ann.>', 'ask'] } } }]
    const guarded = await startBroker(t, { users })
    const bus = await connected(t, guarded.url)
    bus.subscribe('ask', message => message.reply('told'))
    t.equal(text((await bus.request('ask', '', { timeoutMs: 5_000 })).data), 'told')
  })
})

t.test('messages', async t => {
  const { url } = await startBroker(t, { maxPayload: 10_000 })
  const [here, there] = [await connected(t, url), await connected(t, url)]

  await t.test('bytes, headers and the wish for an answer arrive as sent', async t => {
    const arrived = new Promise<void>(resolve => {
      there.subscribe('m.*', message => {
        t.equal(message.subject, 'm.1')
        t.same([...message.data], [0, 255, 13, 10])
        t.same(Object.entries(message.headers), [
          ['X-One', 'ü'],
          ['__proto__', 'x'],
        ])
        t.equal(message.hasReply, false)
        message.reply('to nobody')
        resolve()
      })
    })
    await there.flush()
    here.publish(
      'm.1',
      Uint8Array.of(0, 255, 13, 10),
      Object.fromEntries([
        ['X-One', 'ü'],
        ['__proto__', 'x'],
      ]),
    )
    await arrived
    there.subscribe('headed', message => message.reply('', { 'Answer-To': message.headers.Question ?? '' }))
    await there.flush()
    const reply = await here.request('headed', '', { timeoutMs: 5_000, headers: { Question: '42' } })
    t.same(reply.headers, { 'Answer-To': '42' })
  })

  await t.test('whoever answers learns that the one who asked is gone', async t => {
    const leaving = await connected(t, url)
    const asked = () => new Promise<BusMessage>(resolve => void there.subscribe('slow', resolve))
    const first = asked()
    await there.flush()
    const given = leaving.request('slow', '', { timeoutMs: 5_000 })
    t.equal(await (await first).deliver('in time'), true)
    t.equal(text((await given).data), 'in time')
    const second = asked()
    await there.flush()
    leaving.request('slow', '', { timeoutMs: 5_000 }).catch(() => undefined)
    const message = await second
    await leaving.close()
    // The broker hears of it in its own time.
    await until('nobody is there to hear it', async () => !(await message.deliver('too late')))
  })

  await t.test('what would not be carried as meant is refused', async t => {
    for (const subject of ['', 'a b', 'a.*', 'a.>', 'a\r\nPUB b 0\r\n', 'a..b']) {
      t.throws(() => here.publish(subject, ''), BusMisuse)
      await t.rejects(here.request(subject, '', { timeoutMs: 100 }), BusMisuse)
    }
    t.throws(() => here.subscribe('a b', () => {}), BusMisuse)
    t.throws(() => here.subscribe('a', () => {}, { queue: 'a b' }), BusMisuse)
    for (const headers of [{ 'a b': '' }, { a: 'x\r\ny' }, { 'a:': '' }, { '': '' }]) {
      t.throws(() => here.publish('a', '', headers), BusMisuse)
      await t.rejects(here.request('a', '', { timeoutMs: 100, headers }), BusMisuse)
    }
    t.throws(() => here.publish('a', Buffer.alloc(10_001)), new BusMisuse('The message to a is too large'))
    await t.rejects(here.request('a', Buffer.alloc(10_001), { timeoutMs: 100 }), BusMisuse)
  })

  await t.test('a request finds nobody, or nobody answers', async t => {
    await t.rejects(here.request('nobody', '', { timeoutMs: 5_000 }), new BusNoResponders('Nobody answers on nobody'))
    there.subscribe('silent', () => {})
    await there.flush()
    await t.rejects(here.request('silent', '', { timeoutMs: 50 }), new BusTimeout('No answer on silent in time'))
  })

  await t.test('handlers', async t => {
    const { log, until, lines } = notebook()
    const bus = await connected(t, url, log)
    const order: string[] = []
    const gate = latch()
    bus.subscribe('ordered', async message => {
      if (text(message.data) === '1') await gate.promise
      order.push(text(message.data))
      if (text(message.data) === '2') throw new Error('two failed')
    })
    const bounded = bus.subscribe('bounded', () => gate.promise, { maxWaiting: 1 })
    await bus.flush()
    for (const subject of ['ordered', 'bounded']) for (const n of ['1', '2', '3']) here.publish(subject, n)
    await until('too many messages wait: dropped')
    bounded.unsubscribe()
    gate.resolve()
    const last = new Promise<void>(resolve => bus.subscribe('last', () => resolve()))
    await bus.flush()
    here.publish('last', '')
    await last
    t.same(order, ['1', '2', '3'], 'one after another, and an error stops nothing')
    t.match(lines.find(line => line.message === 'a message handler failed')?.fields, { subject: 'ordered' })
    t.equal(lines.filter(line => line.message === 'too many messages wait: dropped').length, 1)
    await t.rejects(here.request('bounded', '', { timeoutMs: 5_000 }), BusNoResponders, 'unsubscribed')
  })

  await t.test('a drained subscription handles what it has and takes no more', async t => {
    const handled: string[] = []
    const subscription = there.subscribe('drained', async message => {
      await new Promise(setImmediate)
      handled.push(text(message.data))
    })
    await there.flush()
    for (const n of ['1', '2', '3']) here.publish('drained', n)
    await here.flush()
    await subscription.drain()
    t.same(handled, ['1', '2', '3'])
    await t.rejects(here.request('drained', '', { timeoutMs: 5_000 }), BusNoResponders)
  })
})

t.test('JSON', async t => {
  const { url } = await startBroker(t)
  const bus = await connected(t, url)
  const question = z.object({ n: z.number() })
  const answer = z.object({ twice: z.number() })
  subscribeJson(bus, 'twice', question, ({ n }) => ({ twice: n * 2 }))
  subscribeJson(bus, 'wrong', question, () => ({ thrice: 1 }))
  subscribeJson(bus, 'fails', question, ({ n }) => {
    throw n === 1 ? Object.assign(new Error('no such run'), { code: 'not-found' }) : new Error('s3cret detail')
  })
  const ask = (subject: string, payload: unknown) => requestJson(bus, subject, answer, payload, { timeoutMs: 5_000 })
  t.same(await ask('twice', { n: 21 }), { twice: 42 })
  await t.rejects(ask('wrong', { n: 1 }), BusBadPayload)
  await t.rejects(ask('twice', { n: 'x' }), { name: 'BusRemoteError', code: 'bad-payload' })
  await t.rejects(ask('fails', { n: 1 }), new BusRemoteError('not-found', 'no such run'))
  await t.rejects(ask('fails', { n: 2 }), new BusRemoteError('internal', 'The other side failed'))
  const told = new Promise<number>(resolve => subscribeJson(bus, 'tell', question, ({ n }) => resolve(n)))
  await bus.flush()
  publishJson(bus, 'tell', { n: 7 })
  t.equal(await told, 7)
})

t.test('permissions are said, not swallowed', async t => {
  const permissions = { publish: { allow: ['a', '_INBOX.>'] }, subscribe: { allow: ['a', '_INBOX.>'] } }
  const { url } = await startBroker(t, { users: [{ user: 'u', password: 'p', permissions }] })
  const { log, until } = notebook()
  const bus = await connected(t, url, log)
  await t.rejects(bus.request('b', '', { timeoutMs: 5_000 }), new BusDenied('Not allowed to publish to b'))
  bus.subscribe('b', () => {})
  t.match(await until('the subscription was refused by the broker'), { level: 'error', fields: { subject: 'b' } })
})

t.test('when the broker goes and comes back', async t => {
  const broker: TestBroker = await startBroker(t)
  const { log, until } = notebook()
  const bus = await connected(t, broker.url, log)
  const heard: string[] = []
  bus.subscribe('echo', message => {
    heard.push(text(message.data))
    message.reply(message.data)
  })
  bus.subscribe('silent', () => {})
  await bus.flush()

  const statuses: BusStatus[] = []
  bus.onStatus(status => statuses.push(status))
  const hanging = bus.request('silent', '', { timeoutMs: 60_000 })
  hanging.catch(() => undefined)
  const gone = reaches(bus, 'reconnecting')
  await broker.kill9()
  await gone
  const lost = 'The connection was lost while waiting for an answer on silent'
  await t.rejects(hanging, new BusTimeout(lost), 'nobody waits for an answer that cannot come')
  bus.publish('echo', 'dropped')
  await t.rejects(
    bus.request('echo', '', { timeoutMs: 50 }),
    new BusTimeout('No connection to the broker within 50 ms'),
  )

  const waiting = bus.request('echo', 'waited', { timeoutMs: 20_000 })
  const flushed = bus.flush()
  await broker.restart()
  t.equal(text((await waiting).data), 'waited', 'a request waits for the connection')
  await flushed
  t.same(heard, ['waited'], 'a message published in between is dropped')
  t.match(await until('reconnected to the broker'), { fields: { dropped: 1 } })
  t.same(statuses, ['reconnecting', 'connected'])
})

t.test('the end', async t => {
  const broker = await startBroker(t)
  const [asking, serving] = [await connected(t, broker.url), await connected(t, broker.url)]
  const gate = latch()
  const entered = latch()
  serving.subscribe('slow', async message => {
    entered.resolve()
    await gate.promise
    message.reply('done')
  })
  await serving.flush()
  const answer = asking.request('slow', '', { timeoutMs: 10_000 })
  await entered.promise
  const statuses: BusStatus[] = []
  serving.onStatus(status => statuses.push(status))
  const closed = serving.close()
  t.throws(() => serving.publish('a', ''), BusClosed, 'closing')
  gate.resolve()
  await closed
  t.equal(text((await answer).data), 'done', 'a handler that runs ends, and its answer leaves')
  t.equal(serving.status(), 'closed')
  t.same(statuses, ['closed'])
  t.throws(() => serving.subscribe('a', () => {}), BusClosed)
  await t.rejects(serving.request('a', '', { timeoutMs: 10 }), BusClosed)
  await t.rejects(serving.flush(), BusClosed)
  await serving.close()

  const gone = reaches(asking, 'reconnecting')
  await broker.stop()
  await gone
  const waiting = asking.request('a', '', { timeoutMs: 60_000 })
  waiting.catch(() => undefined)
  await asking.close()
  await t.rejects(waiting, BusClosed, 'closing without a broker does not hang')
})
