import fc from 'fast-check'
import t from 'tap'
import { authenticate, readConnect } from './credentials.ts'
import { type Operation, ProtocolError, type Verb } from './operations.ts'
import { type BrokerOptions, BrokerOptionsError, brokerSettings } from './options.ts'
import { Parser } from './parser.ts'
import { mayPublish, maySubscribe, needsFilter } from './permissions.ts'
import { type Message, type Peer, Router, type Subscriber } from './router.ts'
import { natsServerConfig } from './server-config.ts'
import { covers, isLiteralSubject, isSubject, overlap } from './subject.ts'
import { SubjectTrie } from './trie.ts'

const token = fc.constantFrom('a', 'b', 'c')
const literal = fc.array(token, { minLength: 1, maxLength: 4 }).map(tokens => tokens.join('.'))
const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant('*')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([tokens, full]) => [...tokens, ...(full ? ['>'] : [])].join('.'))

t.test('subjects', async t => {
  for (const good of ['a', 'a.b.c', '*', '>', 'a.*.>', 'a*', '>a.b', '$SYS.x', '_INBOX.a']) t.ok(isSubject(good), good)
  for (const bad of ['', '.', 'a.', '.a', 'a..b', '>.a', 'a.>.b', 'a b', 'a\tb', 'a\0', 'a\x7f'])
    t.notOk(isSubject(bad), bad)
  t.ok(isLiteralSubject('a*.b>'), 'a wildcard is a whole token')
  t.notOk(isLiteralSubject('a.*'))
  t.notOk(isLiteralSubject('>'))

  t.test('covering is matching everything the other matches', async t => {
    const law = fc.property(pattern, pattern, fc.array(literal, { maxLength: 50 }), (wide, narrow, subjects) => {
      const narrowed = subjects.filter(subject => covers(narrow, subject))
      if (covers(wide, narrow)) return narrowed.every(subject => covers(wide, subject))
      return true
    })
    fc.assert(law)
    const table: [string, string, boolean][] = [
      ['a.*', 'a.b', true],
      ['a.*', 'a.*', true],
      ['a.*', 'a.>', false],
      ['a.>', 'a.>', true],
      ['a.>', 'a.*.b', true],
      ['a.>', 'a', false],
      ['>', 'a', true],
      ['>', '>', true],
      ['*', '>', false],
      ['a.b', 'a.*', false],
      ['a', 'a.b', false],
      ['a.b', 'a', false],
    ]
    for (const [wide, narrow, expected] of table) t.equal(covers(wide, narrow), expected, `${wide} covers ${narrow}`)
  })

  t.test('two patterns overlap when some subject matches both', async t => {
    const law = fc.property(pattern, pattern, literal, (left, right, subject) => {
      if (covers(left, subject) && covers(right, subject)) t.ok(overlap(left, right), `${left} ${right} ${subject}`)
      return overlap(left, right) === overlap(right, left)
    })
    fc.assert(law)
    t.ok(overlap('a.*', '*.b'))
    t.notOk(overlap('a.*', 'a'))
    t.notOk(overlap('a.>', 'a'))
    t.notOk(overlap('a.b', '*.c'))
  })
})

t.test('the trie finds what a walk over all patterns finds, and leaves nothing behind', async t => {
  const filed = fc.array(fc.tuple(pattern, fc.nat(3)), { maxLength: 30 })
  fc.assert(
    fc.property(filed, literal, fc.nat(30), (entries, subject, removals) => {
      const trie = new SubjectTrie<string>()
      const expected = new Map(entries.map(([key, value]) => [`${key} ${value}`, key]))
      for (const [value, key] of expected) trie.add(key, value)
      for (const [value, key] of [...expected].slice(0, removals)) {
        trie.remove(key, value)
        trie.remove(key, value)
        expected.delete(value)
      }
      const found = trie.match(subject).sort()
      const walked = [...expected].filter(([, key]) => covers(key, subject)).map(([value]) => value)
      t.same(found, walked.sort())
      t.equal(trie.size, expected.size)
      for (const [value, key] of expected) trie.remove(key, value)
      t.ok(trie.isBare())
    }),
    { numRuns: 200 },
  )
})

t.test('many values under one subject', async t => {
  const trie = new SubjectTrie<number>()
  for (let n = 0; n < 200_000; n += 1) trie.add('a.>', n)
  t.equal(trie.match('a.b').length, 200_000)
})

t.test('permissions', async t => {
  t.ok(mayPublish(undefined, 'a'), 'no permissions, no limits')
  t.ok(mayPublish({ subscribe: { allow: [] } }, 'a'))
  t.notOk(mayPublish({ publish: { allow: [] } }, 'a'), 'an empty list allows nothing')
  const rule = { allow: ['a.>', 'b'], deny: ['a.secret.>'] }
  for (const subject of ['a.b', 'a.secret', 'b']) t.ok(mayPublish({ publish: rule }, subject), subject)
  for (const subject of ['a', 'c', 'a.secret.b']) t.notOk(mayPublish({ publish: rule }, subject), subject)
  for (const subject of ['a.*', 'a.>', 'a.*.b']) t.ok(maySubscribe({ subscribe: rule }, subject), subject)
  for (const subject of ['>', '*', '*.b', 'a.secret.*']) t.notOk(maySubscribe({ subscribe: rule }, subject), subject)
  t.ok(needsFilter({ subscribe: rule }, 'a.>'))
  t.ok(needsFilter({ subscribe: rule }, 'a.*.b'))
  t.notOk(needsFilter({ subscribe: rule }, 'a.*'))
  t.notOk(needsFilter({ subscribe: { allow: ['a.>'] } }, 'a.>'))

  t.test('nobody hears what is denied', async t => {
    const list = fc.array(pattern, { maxLength: 3 })
    fc.assert(
      fc.property(list, list, pattern, literal, (allow, deny, subscribed, subject) => {
        const permissions = { subscribe: { allow, deny } }
        fc.pre(maySubscribe(permissions, subscribed) && covers(subscribed, subject))
        const heard = !needsFilter(permissions, subscribed) || maySubscribe(permissions, subject)
        const permitted = allow.some(each => covers(each, subject)) && !deny.some(each => covers(each, subject))
        t.equal(heard, permitted)
      }),
    )
  })
})

function parse(
  chunks: Uint8Array[],
  limits = { maxControlLine: 64, maxPayload: 100 },
  admit: (verb: Verb) => void = () => {},
) {
  const operations: Operation[] = []
  const parser = new Parser({ ...limits, admit, handle: operation => operations.push(operation) })
  let error: unknown
  try {
    for (const chunk of chunks) parser.feed(Buffer.from(chunk))
  } catch (thrown) {
    error = thrown
  }
  return { operations, error, parser }
}

const bytes = (text: string) => Buffer.from(text, 'latin1')
const readable = (operation: Operation) =>
  operation.op === 'publish' ? { ...operation, payload: operation.payload.toString('latin1') } : operation

t.test('the parser', async t => {
  const script = [
    'CONNECT {"name":"\xc3\xbc"}\r\n',
    'PING\r\npong\n',
    'PUB a.b 5\r\nh\r\nlo\r\n',
    'pub\ta  back\t0 \r\n\r\n',
    'HPUB h back 12 14\r\nNATS/1.0\r\n\r\nhi\r\n',
    'HPUB h 12 12\r\nNATS/1.0\r\n\r\n\r\n',
    'SUB a.> 1\r\nSUB a.> group 2\r\nUNSUB 1\r\nUNSUB 2 5\r\n',
  ].join('')
  const expected = [
    { op: 'connect', json: '{"name":"ü"}' },
    { op: 'ping' },
    { op: 'pong' },
    { op: 'publish', subject: 'a.b', replyTo: '', headerBytes: 0, payload: 'h\r\nlo' },
    { op: 'publish', subject: 'a', replyTo: 'back', headerBytes: 0, payload: '' },
    { op: 'publish', subject: 'h', replyTo: 'back', headerBytes: 12, payload: 'NATS/1.0\r\n\r\nhi' },
    { op: 'publish', subject: 'h', replyTo: '', headerBytes: 12, payload: 'NATS/1.0\r\n\r\n' },
    { op: 'subscribe', subject: 'a.>', queue: '', sid: '1' },
    { op: 'subscribe', subject: 'a.>', queue: 'group', sid: '2' },
    { op: 'unsubscribe', sid: '1', max: 0 },
    { op: 'unsubscribe', sid: '2', max: 5 },
  ]
  const whole = parse([bytes(script)])
  t.equal(whole.error, undefined)
  t.same(whole.operations.map(readable), expected)

  t.test('reads the same wherever the bytes are cut', async t => {
    const cuts = fc.array(fc.nat(script.length), { maxLength: 30 }).map(each => [...each].sort((a, b) => a - b))
    fc.assert(
      fc.property(cuts, places => {
        const ends = [...places, script.length]
        const chunks = ends.map((end, index) => bytes(script.slice(ends[index - 1] ?? 0, end)))
        const { operations, error } = parse(chunks)
        t.equal(error, undefined)
        t.same(operations.map(readable), expected)
      }),
    )
  })

  t.test('refuses what it cannot read, and reads nothing after', async t => {
    const cases: [string, string][] = [
      ['HELO\r\n', 'Unknown Protocol Operation'],
      ['\r\n', 'Unknown Protocol Operation'],
      ['INFO {}\r\n', 'Unknown Protocol Operation'],
      ['PUB\r\n', 'Parser Error'],
      ['PUB a\r\n', 'Parser Error'],
      ['PUB 5\r\n', 'Parser Error'],
      ['PUB a b c 5\r\n', 'Parser Error'],
      ['PUB a -1\r\n', 'Parser Error'],
      ['PUB a 1e1\r\n', 'Parser Error'],
      ['PUB a 99999999999\r\n', 'Parser Error'],
      ['PUB a 101\r\n', 'Maximum Payload Violation'],
      ['PUB a 2\r\nabc\r\n', 'Parser Error'],
      ['PUB a 2\r\nab\n\n', 'Parser Error'],
      ['HPUB a 5\r\n', 'Parser Error'],
      ['HPUB a 0 5\r\n', 'Parser Error'],
      ['HPUB a 6 5\r\n', 'Parser Error'],
      ['HPUB a 12 101\r\n', 'Maximum Payload Violation'],
      ['SUB\r\n', 'Parser Error'],
      ['SUB a\r\n', 'Parser Error'],
      ['SUB a b c d\r\n', 'Parser Error'],
      ['UNSUB\r\n', 'Parser Error'],
      ['UNSUB 1 x\r\n', 'Parser Error'],
      ['UNSUB 1 2 3\r\n', 'Parser Error'],
      [`SUB ${'a'.repeat(60)} 1\r\n`, 'Maximum Control Line Exceeded'],
      ['x'.repeat(64), 'Maximum Control Line Exceeded'],
    ]
    for (const [sent, why] of cases) {
      for (const chunks of [[bytes(sent)], [...sent].map(bytes)]) {
        const { operations, error, parser } = parse(chunks)
        t.same(error, new ProtocolError(why), JSON.stringify(sent))
        parser.feed(bytes('PING\r\n'))
        t.same(operations, [])
      }
    }
    const longest = `SUB ${'a'.repeat(55)} 1\r\n`
    t.equal(parse([bytes(longest)], { maxControlLine: longest.length, maxPayload: 1 }).operations.length, 1)
  })

  t.test('asks before it takes a payload in', async t => {
    const { operations, error } = parse([bytes('PUB a 50\r\n')], undefined, verb => {
      throw new ProtocolError(`no ${verb}`)
    })
    t.same([operations, error], [[], new ProtocolError('no PUB')])
  })

  t.test('takes any bytes without any other error', async () => {
    const words = [
      'PUB a 3\r\n',
      'HPUB a 1 3\r\n',
      'SUB a 1\r\n',
      'UNSUB 1\r\n',
      'abc\r\n',
      '\r\n',
      'CONNECT ',
      'PING\r\n',
    ]
    const piece = fc.oneof(fc.constantFrom(...words).map(bytes), fc.uint8Array({ maxLength: 20 }))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), chunks => {
        const { error } = parse(chunks)
        return error === undefined || error instanceof ProtocolError
      }),
    )
  })
})

t.test('the router', async t => {
  const heard: string[] = []
  const peer = (name: string, options: { echo?: boolean; deaf?: boolean } = {}): Peer => ({
    echo: options.echo ?? true,
    pending: 0,
    accepts: () => !options.deaf,
    send: (subscriber, message) => heard.push(`${name}:${subscriber.sid}:${message.subject}`),
    finished: () => heard.push(`${name} finished`),
  })
  const subscriber = (who: Peer, subject: string, more: Partial<Subscriber> = {}): Subscriber => ({
    ...{ peer: who, subject, queue: '', sid: '1', delivered: 0, max: 0, filtered: false },
    ...more,
  })
  const message = (subject: string): Message => ({ subject, replyTo: '', headerBytes: 0, payload: Buffer.alloc(0) })
  const router = new Router()
  const [ann, bob, deaf] = [peer('ann'), peer('bob', { echo: false }), peer('deaf', { deaf: true })]
  router.add(subscriber(ann, 'a', { max: 1 }))
  router.add(subscriber(bob, 'a'))
  router.add(subscriber(deaf, 'a'))
  for (const member of [deaf, bob]) router.add(subscriber(member, 'q', { queue: 'pool' }))

  t.same(router.publish(bob, message('a')), [ann], 'not to the deaf, nor to who does not want its own')
  t.same(heard.splice(0), ['ann:1:a', 'ann finished'])
  for (let n = 0; n < 20; n += 1) t.same(router.publish(ann, message('q')), [bob], 'a queue finds who can take it')
  t.same(router.publish(bob, message('q')), [])
  t.equal(heard.splice(0).length, 20)
  router.sendTo(bob, message('a'))
  router.sendTo(bob, message('nowhere'))
  t.same(heard, ['bob:1:a'])
})

t.test('credentials', async t => {
  const users = [
    { user: 'ann', password: 'horse' },
    { user: 'bob', password: 'staple' },
  ]
  const who = (options: BrokerOptions, connect: object) =>
    authenticate(brokerSettings(options), readConnect(JSON.stringify(connect)))
  t.equal(who({}, {}), 'anybody')
  t.equal(who({ token: 's' }, { auth_token: 's' }), 'anybody')
  t.equal(who({ token: 's' }, { auth_token: 'x' }), undefined)
  t.equal(who({ token: 's' }, {}), undefined)
  t.equal(who({ users }, { user: 'bob', pass: 'staple' }), users[1])
  t.equal(who({ users }, { user: 'bob', pass: 'horse' }), undefined)
  t.equal(who({ users }, { user: 'bob' }), undefined)
  t.equal(who({ users }, { auth_token: 'horse' }), undefined)
  for (const bad of ['', '{', '[]', 'null', '{"user":1}', '{"verbose":"yes"}'])
    t.throws(() => readConnect(bad), ProtocolError)
})

t.test('options that make no sense or are unsafe', async t => {
  const user = { user: 'ann', password: 'p' }
  const bad: BrokerOptions[] = [
    { host: '0.0.0.0' },
    { host: '::' },
    { users: [user], token: 't' },
    { token: '' },
    { users: [{ user: '', password: 'p' }] },
    { users: [{ user: 'ann', password: '' }] },
    { users: [user, user] },
    { users: [{ ...user, permissions: { publish: { allow: ['a..b'] } } }] },
    { users: [{ ...user, permissions: { subscribe: { deny: ['ü'] } } }] },
    { maxPayload: 2, maxPendingBytes: 1 },
  ]
  for (const options of bad) t.throws(() => brokerSettings(options), BrokerOptionsError, JSON.stringify(options))
  t.equal(brokerSettings({ host: '0.0.0.0', users: [user] }).host, '0.0.0.0')
  t.equal(brokerSettings({ host: '127.1.2.3' }).maxPayload, 1024 * 1024)
})

t.test('the same rules as a nats-server file', async t => {
  const permissions = { publish: { allow: ['a.>'], deny: ['a.b'] }, subscribe: { allow: [] } }
  const file = natsServerConfig({
    users: [
      { user: 'ann', password: { variable: 'ann_password' }, permissions },
      { user: 'bob', password: 'say "\\"' },
    ],
    include: 'passwords.conf',
    monitor: '127.0.0.1:8222',
    maxPayload: 1000,
  })
  t.equal(
    file,
    `include "passwords.conf"

listen: "127.0.0.1:4222"
http: "127.0.0.1:8222"
max_payload: 1000
max_control_line: 4096
max_pending: 16777216
max_connections: 1024
max_subscriptions: 10000
write_deadline: "10000ms"
ping_interval: "30000ms"

authorization {
  timeout: 2
  users: [
    {
      user: "ann"
      password: $ann_password
      permissions: {
        publish: {
          allow: ["a.>"]
          deny: ["a.b"]
        }
        subscribe: {
          deny: [">"]
        }
      }
    }
    {
      user: "bob"
      password: "say \\"\\\\\\""
    }
  ]
}
`,
  )
  t.match(natsServerConfig({ token: 's' }), 'authorization {\n  timeout: 2\n  token: "s"\n}')
  t.notMatch(natsServerConfig({}), 'authorization')
  for (const password of ['', '$2a$11$abc', 'ü', 'a\nb', { variable: 'a b' }]) {
    t.throws(() => natsServerConfig({ users: [{ user: 'u', password }] }), BrokerOptionsError)
  }
})
