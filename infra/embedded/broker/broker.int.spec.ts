import { once } from 'node:events'
import fc from 'fast-check'
import pino from 'pino'
import t, { type Test } from 'tap'
import { startBroker, type TestBroker, type TestBrokerOptions } from '../../../test/support/broker.ts'
import { startNatsServer } from '../../../test/support/nats-server.ts'
import { programOrSkip } from '../../../test/support/packages.ts'
import { rawNats } from '../../../test/support/raw-nats.ts'
import { type Bus, BusDenied, BusNoResponders, BusUnavailable, connectBus } from '../../bus.ts'

type Starter = (t: Test, options?: TestBrokerOptions) => Promise<TestBroker>

const log = pino({ level: 'silent' })
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

async function client(t: Test, url: string): Promise<Bus> {
  const bus = await connectBus({ url, name: 'spec', log, startTimeoutMs: 5_000 })
  t.teardown(() => bus.close())
  return bus
}

/** Everything the core protocol promises, told of whichever server the starter starts. */
function contract(t: Test, start: Starter) {
  t.test('INFO, verbose CONNECT, PING', async t => {
    const { port } = await start(t, { maxPayload: 2_000 })
    const raw = await rawNats(port, 'no CONNECT')
    raw.send('CONNECT {"verbose":true}\r\n')
    await raw.until(/^\+OK\r\n/)
    raw.send('PING\r\nping\r\n')
    t.equal(await raw.until(/PONG\r\nPONG\r\n/), 'PONG\r\nPONG\r\n')
    raw.send('SUB a 1\r\nPUB a 2\r\nhi\r\nUNSUB 1\r\nPING\r\n')
    t.equal((await raw.until(/PONG\r\n/)).match(/\+OK\r\n/g)?.length, 3)
    raw.close()
  })

  t.test('who gets what', async t => {
    const { port } = await start(t)
    const raw = await rawNats(port)

    await t.test('a message goes to every matching subscription, with its reply subject', async t => {
      raw.send('SUB a.* 1\r\nSUB a.> 2\r\nSUB a.b 3\r\nSUB b 4\r\nPUB a.b back 2\r\nhi\r\nPUB a.b.c 0\r\n\r\nPING\r\n')
      const got = await raw.until(/PONG\r\n/)
      t.same(got.match(/MSG .*/g)?.sort(), [
        'MSG a.b 1 back 2',
        'MSG a.b 2 back 2',
        'MSG a.b 3 back 2',
        'MSG a.b.c 2 0',
      ])
      raw.send('UNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\nUNSUB 4\r\nPUB a.b 0\r\n\r\nPING\r\n')
      t.equal(await raw.until(/PONG\r\n/), 'PONG\r\n')
    })

    await t.test('a subscription ends after its maximum', async t => {
      raw.send('SUB m 5\r\nUNSUB 5 2\r\nPUB m 1\r\n1\r\nPUB m 1\r\n2\r\nPUB m 1\r\n3\r\nPING\r\n')
      t.equal(await raw.until(/PONG\r\n/), 'MSG m 5 1\r\n1\r\nMSG m 5 1\r\n2\r\nPONG\r\n')
      raw.send('SUB m 6\r\nPUB m 1\r\n1\r\nUNSUB 6 1\r\nPUB m 1\r\n2\r\nPING\r\n')
      t.equal(await raw.until(/PONG\r\n/), 'MSG m 6 1\r\n1\r\nPONG\r\n')
    })

    await t.test('headers reach clients that know them, the body alone the others', async t => {
      const knows = await rawNats(port, { headers: true })
      knows.send('SUB h 1\r\nPING\r\n')
      await knows.until(/PONG\r\n/)
      raw.send('SUB h 7\r\nPING\r\n')
      await raw.until(/PONG\r\n/)
      knows.send('HPUB h back 22 24\r\nNATS/1.0\r\nName: A\r\n\r\nhi\r\n'.replace('22 24', '21 23'))
      t.equal(await knows.until(/hi\r\n/), 'HMSG h 1 back 21 23\r\nNATS/1.0\r\nName: A\r\n\r\nhi\r\n')
      t.equal(await raw.until(/hi\r\n/), 'MSG h 7 back 2\r\nhi\r\n')
      knows.close()
    })

    await t.test('a client may ask not to hear itself', async t => {
      const mute = await rawNats(port, { echo: false })
      mute.send('SUB e 1\r\nPUB e 0\r\n\r\nPING\r\n')
      t.equal(await mute.until(/PONG\r\n/), 'PONG\r\n')
      raw.send('PUB e 0\r\n\r\n')
      t.equal(await mute.until(/MSG.*\r\n\r\n/), 'MSG e 1 0\r\n\r\n')
      mute.close()
    })

    await t.test('packets may be cut anywhere', async t => {
      for (const byte of 'SUB cut 8\r\nPUB cut 5\r\nhe\r\nl\r\nPING\r\n') {
        raw.send(byte)
        await new Promise(setImmediate)
      }
      t.equal(await raw.until(/PONG\r\n/), 'MSG cut 8 5\r\nhe\r\nl\r\nPONG\r\n')
    })

    await t.test('a refused subject is said and nothing else happens', async t => {
      for (const subject of ['a..b', '.a', 'a.', 'a.>.b']) {
        raw.send(`SUB ${subject} 9\r\n`)
        await raw.until(/-ERR 'Invalid Subject'\r\n/)
      }
      raw.send('PING\r\n')
      t.equal(await raw.until(/PONG\r\n/), 'PONG\r\n')
    })
    raw.close()
  })

  t.test('queue groups and requests', async t => {
    const { url, port } = await start(t)
    const asking = await client(t, url)
    const workers = await Promise.all([client(t, url), client(t, url)])
    const served = [0, 0]
    for (const [index, bus] of workers.entries()) {
      bus.subscribe(
        'work.*',
        message => {
          served[index] = (served[index] ?? 0) + 1
          message.reply(message.subject, { worker: String(index) })
        },
        { queue: 'pool' },
      )
      await bus.flush()
    }
    let audited = 0
    asking.subscribe(
      'work.>',
      () => {
        audited += 1
      },
      { queue: 'audit' },
    )
    for (let n = 0; n < 100; n += 1) {
      const reply = await asking.request(`work.${n}`, '', { timeoutMs: 5_000 })
      t.equal(text(reply.data), `work.${n}`)
      t.match(reply.headers.worker, /^[01]$/)
    }
    t.equal((served[0] ?? 0) + (served[1] ?? 0), 100, 'each request went to one worker')
    t.ok(Math.min(...served) > 20, `both workers were used: ${served}`)
    await asking.flush()
    t.equal(audited, 100, 'another group got each as well')

    await t.rejects(asking.request('nobody', '', { timeoutMs: 5_000 }), BusNoResponders)
    await Promise.all(workers.map(worker => worker.close()))
    const raw = await rawNats(port, { headers: true, no_responders: true })
    raw.send('SUB inbox 1\r\nPUB nobody inbox 0\r\n\r\n')
    t.equal(await raw.until(/\r\n\r\n\r\n/), 'HMSG inbox 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n')
    raw.close()
  })

  t.test('sizes', async t => {
    const { url, port } = await start(t, { maxPayload: 1024 * 1024 })
    const bus = await client(t, url)
    const big = Buffer.alloc(1024 * 1024, 'opsconductor ')
    const arrived = new Promise<Uint8Array>(resolve => bus.subscribe('big', message => resolve(message.data)))
    bus.publish('big', big)
    t.ok(big.equals(await arrived), 'the largest message arrives unharmed')

    const cases = [
      { sends: 'PUB big 1048577\r\n', answer: /-ERR 'Maximum Payload Violation'/ },
      { sends: `SUB ${'a'.repeat(5_000)} 1\r\n`, answer: /-ERR '[Mm]aximum [Cc]ontrol [Ll]ine [Ee]xceeded'/ },
    ]
    for (const { sends, answer } of cases) {
      const raw = await rawNats(port)
      raw.send(sends)
      await raw.until(answer)
      await raw.closed()
    }
  })

  t.test('a broken protocol is hung up on', async t => {
    const { port } = await start(t)
    const cases = ['HELO\r\n', 'GET / HTTP/1.1\r\n\r\n', 'PUB a x\r\n', 'PUB a 2\r\nhiXX', 'PUB\r\n', 'HPUB a 5 3\r\n']
    for (const sends of cases) {
      const raw = await rawNats(port)
      raw.send(sends)
      await raw.closed()
    }
    const raw = await rawNats(port)
    raw.send('PING\r\n')
    t.equal(await raw.until(/PONG\r\n/), 'PONG\r\n', 'others are served on')
    raw.close()
  })

  t.test('subscriptions are bounded', async t => {
    const { port } = await start(t, { maxSubscriptionsPerConnection: 3 })
    const raw = await rawNats(port)
    raw.send('SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\n')
    t.match(await raw.until(/-ERR '.*'\r\n/), /maximum subscriptions exceeded/i)
    raw.close()
  })

  t.test('who may come in', async t => {
    const users = [
      { user: 'ann', password: 'correct horse' },
      { user: 'bob', password: 'battery: staple@"\\$' },
    ]
    const { port, urlFor } = await start(t, { users, authTimeoutMs: 400 })

    for (const fields of [
      { user: 'ann', pass: 'wrong' },
      { user: 'eve', pass: 'correct horse' },
      { user: 'ann' },
      {},
    ]) {
      const raw = await rawNats(port, fields)
      raw.send('PING\r\n')
      await raw.until(/-ERR 'Authorization Violation'\r\n/)
      await raw.closed()
    }
    const early = await rawNats(port, 'no CONNECT')
    early.send('PUB a 0\r\n\r\n')
    await early.until(/-ERR 'Authorization Violation'\r\n/)
    await early.closed()

    const silent = await rawNats(port, 'no CONNECT')
    await silent.until(/-ERR 'Authentication Timeout'\r\n/)
    await silent.closed()

    for (const { user } of users) await (await client(t, urlFor(user))).flush()
    const wrong = connectBus({ url: `nats://ann:wrong@127.0.0.1:${port}`, name: 'spec', log })
    await t.rejects(wrong, new BusUnavailable(`The broker at 127.0.0.1:${port} refused the credentials`))
  })

  t.test('a token lets in as well', async t => {
    const { url, port } = await start(t, { token: 's3cret' })
    await (await client(t, url)).flush()
    const wrong = connectBus({ url: `nats://guess@127.0.0.1:${port}`, name: 'spec', log })
    await t.rejects(wrong, BusUnavailable)
  })

  t.test('what a user may do', async t => {
    const users = [
      { user: 'control', password: 'c' },
      {
        user: 'executor',
        password: 'e',
        permissions: {
          publish: { allow: ['report.>', 'pull.*'], deny: ['report.secret'] },
          subscribe: { allow: ['work.>', '_INBOX.executor.>'], deny: ['work.others.>', 'work.*.private'] },
        },
      },
      { user: 'mute', password: 'm', permissions: { publish: { allow: [] }, subscribe: { deny: ['a'] } } },
    ]
    const { port, urlFor } = await start(t, { users })
    const control = await client(t, urlFor('control'))
    const executor = await client(t, urlFor('executor'))
    control.subscribe('pull.*', message => message.reply('assignment'))
    await control.flush()
    t.equal(text((await executor.request('pull.linux', '', { timeoutMs: 5_000 })).data), 'assignment')
    for (const subject of ['pull.a.b', 'report.secret', 'other', '$SYS.REQ.SERVER.PING', '$JS.API.INFO']) {
      await t.rejects(executor.request(subject, '', { timeoutMs: 5_000 }), BusDenied, subject)
    }

    const raw = await rawNats(port, { user: 'executor', pass: 'e' })
    for (const subject of [
      '>',
      '*',
      '_INBOX.>',
      '_INBOX.control.>',
      'report.>',
      'work.others.a',
      'work.others.*',
      '$SYS.>',
    ]) {
      raw.send(`SUB ${subject} 1\r\n`)
      t.match(await raw.until(/-ERR '.*'\r\n/), `Permissions Violation for Subscription to "${subject}"`, subject)
    }
    raw.send('SUB work.> 2\r\nSUB work.own 3\r\nPING\r\n')
    t.equal(await raw.until(/PONG\r\n/), 'PONG\r\n')
    for (const subject of ['work.others.x', 'work.ann.private', 'work.own', 'work.ann.public'])
      control.publish(subject, '')
    await control.flush()
    raw.send('PING\r\n')
    const got = (await raw.until(/PONG\r\n/)).match(/MSG .*/g)?.sort()
    t.same(got, ['MSG work.ann.public 2 0', 'MSG work.own 2 0', 'MSG work.own 3 0'], 'denied subjects are filtered out')
    raw.send('SUB other queue 4\r\n')
    t.match(await raw.until(/-ERR '.*'\r\n/), 'to "other" using queue "queue"')
    raw.close()

    const mute = await rawNats(port, { user: 'mute', pass: 'm' })
    mute.send('PUB anything 0\r\n\r\nSUB a 1\r\nSUB b 2\r\nPING\r\n')
    const answers = await mute.until(/PONG\r\n/)
    t.same(answers.match(/Publish to "anything"|Subscription to ".*"/g), [
      'Publish to "anything"',
      'Subscription to "a"',
    ])
    mute.close()
  })

  t.test('a client that does not read is cut off, the others are not', { timeout: 60_000 }, async t => {
    const { url, port } = await start(t, { maxPayload: 256 * 1024, maxPendingBytes: 512 * 1024, writeDeadlineMs: 500 })
    const slow = await rawNats(port)
    slow.send('SUB flood 1\r\nPING\r\n')
    await slow.until(/PONG\r\n/)
    slow.socket.pause()
    const reader = await client(t, url)
    let read = 0
    reader.subscribe('fine', () => {
      read += 1
    })
    await reader.flush()
    const writer = await client(t, url)
    const chunk = Buffer.alloc(64 * 1024)
    let written = 0
    // As long as the slow one is subscribed the request finds it, and waits in vain.
    for (let cut = false; !cut; ) {
      for (let n = 0; n < 8; n += 1) writer.publish('flood', chunk)
      writer.publish('fine', 'x')
      written += 1
      await writer.request('flood', '', { timeoutMs: 20 }).catch(error => {
        cut = error instanceof BusNoResponders
      })
    }
    await writer.flush()
    await reader.flush()
    t.equal(read, written, 'the one that reads got everything')
    slow.socket.resume()
    await slow.closed()
  })

  t.test('a client that answers no ping is cut off', async t => {
    const { port } = await start(t, { pingIntervalMs: 100 })
    const dead = await rawNats(port)
    await dead.until(/-ERR 'Stale Connection'\r\n/)
    await dead.closed()
    const alive = await rawNats(port)
    for (let n = 0; n < 5; n += 1) {
      await alive.until(/PING\r\n/)
      alive.send('PONG\r\n')
    }
    t.equal(alive.socket.closed, false)
    alive.close()
  })

  t.test('clients come back after a restart and nothing was kept', { timeout: 60_000 }, async t => {
    const broker = await start(t)
    const [serving, asking] = [await client(t, broker.url), await client(t, broker.url)]
    serving.subscribe('echo', message => message.reply(message.data))
    await serving.flush()
    const back = (bus: Bus) => new Promise<void>(resolve => bus.onStatus(status => status === 'connected' && resolve()))
    for (const end of ['kill9', 'stop'] as const) {
      const lost = new Promise<void>(resolve => asking.onStatus(status => status === 'reconnecting' && resolve()))
      const both = Promise.all([back(serving), back(asking)])
      await broker[end]()
      await lost
      asking.publish('echo', 'dropped')
      // Whoever is back first may find nobody there yet: that is said, not lost.
      const answer = asking.request('echo', 'asked while it was away', { timeoutMs: 20_000 }).catch(error => {
        if (!(error instanceof BusNoResponders)) throw error
      })
      await broker.restart()
      await both
      await serving.flush()
      const reply = await answer
      if (reply) t.equal(text(reply.data), 'asked while it was away')
      t.equal(text((await asking.request('echo', end, { timeoutMs: 5_000 })).data), end)
    }
  })

  t.test('garbage harms nobody', { timeout: 60_000 }, async t => {
    const { url, port } = await start(t, { users: [{ user: 'u', password: 'p' }] })
    const bus = await client(t, url)
    const words = [
      'PUB',
      'HPUB',
      'SUB',
      'UNSUB',
      'PING',
      'CONNECT {}',
      'a.b',
      '>',
      '99999999999',
      '-1',
      ' ',
      '\r\n',
      '\n',
      '\0',
    ]
    const piece = fc.oneof(
      fc.constantFrom(...words).map(word => Buffer.from(word)),
      fc.uint8Array({ maxLength: 50 }),
    )
    const garbage = fc.record({ signedIn: fc.boolean(), pieces: fc.array(piece, { maxLength: 60 }) })
    const sent = fc.asyncProperty(garbage, async ({ signedIn, pieces }) => {
      const raw = await rawNats(port, signedIn ? { user: 'u', pass: 'p' } : 'no CONNECT')
      for (const bytes of pieces) raw.send(bytes)
      raw.socket.end()
      await raw.closed()
    })
    await fc.assert(sent, { numRuns: 60 })
    bus.subscribe('still', message => message.reply('here'))
    t.equal(text((await bus.request('still', '', { timeoutMs: 5_000 })).data), 'here')
  })
}

t.test('the embedded broker', async t => contract(t, startBroker))

t.test('nats-server', async t => {
  if (programOrSkip(t, 'nats-server')) contract(t, startNatsServer)
})

t.test('the embedded broker is stricter where nats-server is lenient', async t => {
  const permissions = { subscribe: { allow: ['a.*'] }, publish: { allow: ['a.*'] } }
  const { port } = await startBroker(t, { users: [{ user: 'u', password: 'p', permissions }] })
  const raw = await rawNats(port, { user: 'u', pass: 'p' })
  raw.send('SUB a.> 1\r\n')
  t.match(await raw.until(/-ERR '.*'\r\n/), 'Permissions Violation', 'a.> is wider than a.*')
  raw.send('PUB a.* 0\r\n\r\n')
  t.match(await raw.until(/-ERR '.*'\r\n/), 'Invalid Publish Subject')
  raw.send('PUB a.b reply.> 0\r\n\r\n')
  t.match(await raw.until(/-ERR '.*'\r\n/), 'Invalid Publish Subject')
  raw.send('CONNECT {"user":"u","pass":"p"}\r\n')
  t.match(await raw.until(/-ERR '.*'\r\n/), 'Parser Error', 'permissions do not change under subscriptions')
  await raw.closed()
})

t.test('the embedded broker says why it hangs up', async t => {
  const { port } = await startBroker(t)
  const cases = [
    { sends: 'HELO\r\n', why: 'Unknown Protocol Operation' },
    { sends: 'GET / HTTP/1.1\r\n\r\n', why: 'Unknown Protocol Operation' },
    { sends: 'PUB a x\r\n', why: 'Parser Error' },
    { sends: 'PUB a 2\r\nhiXX', why: 'Parser Error' },
    { sends: 'CONNECT {\r\n', why: 'Parser Error' },
    { sends: 'CONNECT {"no_responders":true}\r\n', why: 'No Responders Requires Headers Support' },
  ]
  for (const { sends, why } of cases) {
    const raw = await rawNats(port, 'no CONNECT')
    raw.send(sends)
    t.equal(await raw.closed(), `-ERR '${why}'\r\n`)
  }
})

t.test('a flood to one slow reader slows the writer before it cuts the reader', async t => {
  const { port } = await startBroker(t, { maxPendingBytes: 1024 * 1024, writeDeadlineMs: 60_000 })
  const [reader, writer] = [await rawNats(port), await rawNats(port)]
  reader.send('SUB out 1\r\nPING\r\n')
  await reader.until(/PONG\r\n/)
  reader.socket.removeAllListeners('data')
  let bytes = 0
  reader.socket.on('data', chunk => {
    bytes += chunk.length
    reader.socket.pause()
    setImmediate(() => reader.socket.resume())
  })
  const message = Buffer.from(`PUB out 8192\r\n${'x'.repeat(8192)}\r\n`)
  const count = 2_000
  for (let n = 0; n < count; n += 1) if (!writer.socket.write(message)) await once(writer.socket, 'drain')
  const expected = count * ('MSG out 1 8192\r\n'.length + 8192 + 2)
  while (bytes < expected) await once(reader.socket, 'data')
  t.equal(bytes, expected, '16 MB went through a 1 MB buffer')
  reader.close()
  writer.close()
})
