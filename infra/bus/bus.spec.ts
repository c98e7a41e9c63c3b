import fc from 'fast-check'
import t from 'tap'
import { z } from 'zod'
import { id } from '../../schemas/kernel.ts'
import { executorId } from '../../schemas/target-run.ts'
import { handlerQueue } from './handler-queue.ts'
import { BusBadPayload, parseJson } from './json.ts'
import { BusMisuse } from './port.ts'
import { isPublishSubject, isQueueName, isSubjectToken, isSubscribeSubject } from './subject.ts'
import { parseBrokerUrl } from './url.ts'

t.test('an id is a subject token only when it cannot mean anything else', async t => {
  for (const good of ['a', '018f2b-6C', 'x_y', 'a'.repeat(128)]) t.ok(isSubjectToken(good), good)
  for (const bad of ['', 'a.b', '*', '>', 'a b', 'a\r\nPUB x 0', 'ü', 'a'.repeat(129), 'a\n']) {
    t.notOk(isSubjectToken(bad), JSON.stringify(bad))
  }
  fc.assert(fc.property(fc.string(), id => !isSubjectToken(id) || isPublishSubject(`x.${id}.y`)))
  t.test('every id that the schemas let into a subject is one', async t => {
    for (const bad of ['a.b', '*', '>', 'a b', '']) {
      t.notOk(id.safeParse(bad).success)
      t.notOk(executorId.safeParse(bad).success)
    }
    t.ok(
      isSubjectToken(id.parse('018f2b6c-0000-7000-8000-000000000000')) &&
        isSubjectToken(executorId.parse('executor-1')),
    )
  })
})

t.test('subjects and queue names', async t => {
  for (const good of ['a', 'a.b-c.D_1', '$SYS.a', 'a*']) t.ok(isPublishSubject(good), good)
  const bad = ['', 'a.', '.a', 'a..b', 'a b', 'a\r\n', 'ü', 'a'.repeat(1025)]
  for (const each of [...bad, '*', 'a.*', 'a.>']) t.notOk(isPublishSubject(each), each)
  for (const each of ['*', 'a.*.b', 'a.>', '>', 'a.b']) t.ok(isSubscribeSubject(each), each)
  for (const each of [...bad, '>.a', 'a.>.b']) t.notOk(isSubscribeSubject(each), each)
  t.ok(isQueueName('dispatchers'))
  for (const each of ['', 'a b', 'a\n']) t.notOk(isQueueName(each))
})

t.test('broker URLs', async t => {
  t.same(parseBrokerUrl('nats://127.0.0.1:4333'), { servers: ['127.0.0.1:4333'], tls: false })
  t.same(parseBrokerUrl('tls://broker.example'), { servers: ['broker.example:4222'], tls: true })
  t.same(parseBrokerUrl('nats://[::1]:1'), { servers: ['[::1]:1'], tls: false })
  t.same(parseBrokerUrl('nats://s3cret@h'), { servers: ['h:4222'], tls: false, token: 's3cret' })
  t.same(parseBrokerUrl('nats://a:p%40%3A@h, nats://i:5'), {
    servers: ['h:4222', 'i:5'],
    tls: false,
    user: 'a',
    password: 'p@:',
  })
  for (const bad of [
    '',
    'h:4222',
    'http://h',
    'nats://',
    'nats://u:s3cret@h:x',
    'nats://a,tls://b',
    'nats://s3cret%zz@h',
  ]) {
    t.throws(() => parseBrokerUrl(bad), BusMisuse, bad)
    try {
      parseBrokerUrl(bad)
    } catch (error) {
      t.notMatch(String(error), /s3cret/)
    }
  }
})

t.test('the handler queue', async t => {
  const gates = new Map<number, () => void>()
  const started: number[] = []
  const errors: unknown[] = []
  const queue = handlerQueue<number>({
    concurrency: 2,
    maxWaiting: 3,
    onError: error => errors.push(error),
    handler: item => {
      started.push(item)
      if (item === 9) throw new Error('nine')
      return new Promise(resolve => gates.set(item, resolve))
    },
  })
  const settle = () => new Promise(setImmediate)
  t.same([1, 2, 3, 4, 5, 6].map(queue.push), [true, true, true, true, true, false], 'two run, three wait, no more')
  t.same(started, [1, 2])
  let idle = false
  const waiting = queue.idle().then(() => {
    idle = true
  })
  gates.get(2)?.()
  await settle()
  t.same(started, [1, 2, 3], 'in the order of arrival')
  queue.clear()
  queue.push(9)
  gates.get(1)?.()
  await settle()
  t.same(started, [1, 2, 3, 9])
  t.same(errors, [new Error('nine')])
  t.equal(idle, false)
  gates.get(3)?.()
  await waiting
  await queue.idle()

  t.test('handles everything once and in order at concurrency 1', async t => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 3_000, size: 'max' }), async items => {
        const handled: number[] = []
        const one = handlerQueue<number>({
          concurrency: 1,
          maxWaiting: 5_000,
          onError: error => t.fail(String(error)),
          handler: async item => {
            handled.push(item)
          },
        })
        for (const item of items) one.push(item)
        await one.idle()
        t.same(handled, items)
      }),
      { numRuns: 20 },
    )
  })
})

t.test('JSON payloads are parsed, and never quoted in errors', async t => {
  const schema = z.object({ id: z.string(), n: z.number() })
  const bytes = (text: string) => new TextEncoder().encode(text)
  t.same(parseJson(schema, bytes('{"id":"a","n":1}')), { id: 'a', n: 1 })
  t.throws(() => parseJson(schema, bytes('{"id":"a"')), new BusBadPayload('Not UTF-8 JSON'))
  t.throws(() => parseJson(schema, Uint8Array.of(0x22, 0xff, 0x22)), new BusBadPayload('Not UTF-8 JSON'))
  const refusal = new BusBadPayload('Payload refused by its schema at n: invalid_type')
  t.throws(() => parseJson(schema, bytes('{"id":"s3cret","n":"s3cret"}')), refusal)
  t.throws(
    () => parseJson(schema, bytes('1')),
    new BusBadPayload('Payload refused by its schema at (top): invalid_type'),
  )
})
