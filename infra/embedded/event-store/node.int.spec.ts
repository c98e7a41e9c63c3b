import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { binaryEvent, EventStoreDBClient, eventTypeFilter, jsonEvent, streamNameFilter } from '@eventstore/db-client'
import { ServerFeaturesClient } from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import { StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import { Client, credentials } from '@grpc/grpc-js'
import emptyPb from 'google-protobuf/google/protobuf/empty_pb.js'
import timestampPb from 'google-protobuf/google/protobuf/timestamp_pb.js'
import t, { type Test } from 'tap'
import { startEventStore } from '../../../test/support/event-store.ts'
import { collect, fact, facts, refusal, revisionsOf } from './contract/support.ts'
import { runEventStoreNode } from './main.ts'

t.setTimeout(120_000)

const store = await startEventStore(t)
const address = store.connectionString.slice('esdb://'.length).replace(/\?.*/, '')

function connect(t: Test, connectionString = store.connectionString): EventStoreDBClient {
  const client = EventStoreDBClient.connectionString(connectionString)
  t.teardown(() => client.dispose())
  return client
}

function rawStreams(t: Test): StreamsClient {
  const raw = new StreamsClient(address, credentials.createInsecure())
  t.teardown(() => raw.close())
  return raw
}

const uuid = (id: string) => new shared.UUID().setString(id)

type Part = { id: string; stream?: string; deadline?: Date; data?: Buffer; isFinal?: boolean }

/** One BatchAppendReq; with a stream it is the first part of an append. */
function part({ id, stream, deadline, data = Buffer.from('{}'), isFinal = true }: Part): streams.BatchAppendReq {
  const message = new streams.BatchAppendReq.ProposedMessage().setId(uuid(randomUUID())).setData(data)
  message.getMetadataMap().set('type', 'Raw').set('content-type', 'application/json')
  const request = new streams.BatchAppendReq().setCorrelationId(uuid(id)).setIsFinal(isFinal)
  request.addProposedMessages(message)
  if (stream === undefined) return request
  const options = new streams.BatchAppendReq.Options().setAny(new emptyPb.Empty())
  options.setStreamIdentifier(new shared.StreamIdentifier().setStreamName(Buffer.from(stream)))
  if (deadline) options.setDeadline(timestampPb.Timestamp.fromDate(deadline))
  return request.setOptions(options)
}

/** Opens a raw BatchAppend stream; `answers` are `<id> <ok or error>`. */
function batchStream(t: Test) {
  const call = rawStreams(t).batchAppend()
  const answers: string[] = []
  call.on('data', (reply: streams.BatchAppendResp) => {
    answers.push(`${reply.getCorrelationId()?.getString()} ${reply.getError()?.getMessage() ?? 'ok'}`)
  })
  const ended = new Promise<string>(resolve => {
    call.on('error', error => resolve(error.message))
    call.on('end', () => resolve('end'))
  })
  return { call, answers, ended }
}

const inFuture = (ms: number) => new Date(Date.now() + ms)

t.test('a client may find the node by gossip', async t => {
  const discovering = connect(t, store.connectionString.replace('esdb://', 'esdb+discover://'))
  await discovering.appendToStream('found', fact('A'))
  t.equal((await collect(discovering.readStream('found'))).length, 1)
})

t.test('only what is served is advertised, and the rest is not implemented', async t => {
  const raw = new ServerFeaturesClient(address, credentials.createInsecure())
  t.teardown(() => raw.close())
  const supported = await new Promise<string[]>((resolve, reject) => {
    raw.getSupportedMethods(new shared.Empty(), (error, reply) => {
      if (error) reject(error)
      else resolve(reply.getMethodsList().map(method => `${method.getServiceName()}/${method.getMethodName()}`))
    })
  })
  t.same(supported.toSorted(), [
    'event_store.client.gossip.gossip/read',
    'event_store.client.server_features.serverfeatures/getsupportedmethods',
    'event_store.client.streams.streams/append',
    'event_store.client.streams.streams/batchappend',
    'event_store.client.streams.streams/delete',
    'event_store.client.streams.streams/read',
    'event_store.client.streams.streams/tombstone',
  ])
  const client = connect(t)
  t.match(await refusal(client.getProjectionStatus('$by_category')), { code: 12 })
})

t.test('each correlation id is answered once, in whatever parts it comes', async t => {
  const { call, answers, ended } = batchStream(t)
  const [whole, split, tooLarge, expired, unfinished, late] = Array.from({ length: 6 }, () => randomUUID()) as string[]
  call.write(part({ id: whole ?? '', stream: 'raw-1' }))
  call.write(part({ id: split ?? '', stream: 'raw-2', isFinal: false }))
  call.write(part({ id: tooLarge ?? '', stream: 'raw-3', isFinal: false, data: Buffer.alloc(700_000) }))
  call.write(part({ id: tooLarge ?? '', isFinal: false, data: Buffer.alloc(700_000) }))
  call.write(part({ id: split ?? '' }))
  call.write(part({ id: tooLarge ?? '' }))
  call.write(part({ id: expired ?? '', stream: 'raw-4', deadline: inFuture(-1000) }))
  call.write(part({ id: unfinished ?? '', stream: 'raw-5', deadline: inFuture(100), isFinal: false }))
  while (answers.length < 5) await once(call, 'data')
  call.write(part({ id: unfinished ?? '' }))
  call.write(part({ id: late ?? '', stream: 'raw-6', deadline: inFuture(5000) }))
  call.end()
  t.equal(await ended, 'end')
  t.same(
    answers.toSorted(),
    [
      `${whole} ok`,
      `${split} ok`,
      `${tooLarge} MaximumAppendSizeExceeded`,
      `${expired} Timeout`,
      `${unfinished} Timeout`,
      `${late} ok`,
    ].toSorted(),
  )
  const client = connect(t)
  t.equal((await collect(client.readStream('raw-2'))).length, 2)
  for (const nothing of ['raw-3', 'raw-4', 'raw-5']) {
    t.match(await refusal(collect(client.readStream(nothing))), { type: 'stream-not-found' })
  }
})

t.test('requests that make no sense are refused and harm nobody else', async t => {
  const client = connect(t)
  const cases: Record<string, streams.BatchAppendReq> = {
    'an empty stream name': part({ id: randomUUID(), stream: '' }),
    'a stream name too long': part({ id: randomUUID(), stream: 'x'.repeat(1025) }),
    'a stream name with a zero byte': part({ id: randomUUID(), stream: 'a\0b' }),
  }
  for (const [name, request] of Object.entries(cases)) {
    const { call, ended } = batchStream(t)
    call.write(request)
    t.match(await ended, /INVALID_ARGUMENT: A stream name/, name)
  }
  const read = (options: streams.ReadReq.Options | undefined) =>
    new Promise<string>(resolve => {
      const call = rawStreams(t).read(options ? new streams.ReadReq().setOptions(options) : new streams.ReadReq())
      call
        .on('error', error => resolve(error.message))
        .on('end', () => resolve('end'))
        .resume()
    })
  t.match(await read(undefined), /INVALID_ARGUMENT: A read has options/)
  t.match(await read(new streams.ReadReq.Options().setCount('0')), /INVALID_ARGUMENT: Count/)
  t.match(await read(new streams.ReadReq.Options().setCount('1')), /INVALID_ARGUMENT: A read is of a stream/)
  const bytes = new Client(address, credentials.createInsecure())
  t.teardown(() => bytes.close())
  const same = (value: Buffer) => value
  for (const path of ['Read', 'Append', 'BatchAppend', 'Delete', 'Tombstone']) {
    const call = bytes.makeBidiStreamRequest(`/event_store.client.streams.Streams/${path}`, same, same)
    call.end(Buffer.from([0x0a, 0xff, 0x01, 0x02]))
    const error = await new Promise<Error>(resolve => call.on('error', resolve).resume())
    t.match(error, { code: Number }, `${path} of garbage`)
  }
  await client.appendToStream('still-there', fact('A'))
  t.equal((await collect(client.readStream('still-there'))).length, 1)
  t.notMatch(store.log(), /./, 'and the node has nothing to complain about')
})

t.test('a pattern that would never end is cut off', async t => {
  const client = connect(t)
  const type = `${'a'.repeat(60)}!`
  await client.appendToStream('evil', fact(type))
  const started = Date.now()
  const filter = eventTypeFilter({ regex: '^(a+)+$' })
  t.match(await refusal(collect(client.subscribeToAll({ filter }), 1)), { code: 3, message: /too long to match/ })
  t.ok(Date.now() - started < 5000)
  const tooLong = streamNameFilter({ regex: 'a'.repeat(2000) })
  t.match(await refusal(collect(client.subscribeToAll({ filter: tooLong }), 1)), { code: 3, message: /too long/ })
  const tooMany = streamNameFilter({ prefixes: Array.from({ length: 2000 }, (_, index) => `p${index}`) })
  t.match(await refusal(collect(client.subscribeToAll({ filter: tooMany }), 1)), { code: 3, message: /at most/ })
})

t.test('a subscription that lags says so, and says when it is back', async t => {
  const client = connect(t)
  const subscription = client.subscribeToStream('busy')
  const said: string[] = []
  subscription.on('caughtUp', () => said.push('caughtUp')).on('fellBehind', () => said.push('fellBehind'))
  await once(subscription, 'caughtUp')
  const received = collect(subscription, 2000)
  await client.appendToStream('busy', facts(2000))
  t.equal((await received).length, 2000)
  t.ok(said.includes('fellBehind'), said.join())
  await client.appendToStream('busy', fact('More'))
})

t.test('a slow subscriber costs the node no memory and misses nothing', { timeout: 60_000 }, async t => {
  const client = connect(t)
  const slow = client.subscribeToStream('flood', { fromRevision: 'start' })
  await once(slow, 'caughtUp')
  const flood = (count: number) => async () => {
    for (let sent = 0; sent < count; sent++) {
      const events = Array.from({ length: 10 }, () => binaryEvent({ type: 'Drop', data: Buffer.alloc(50_000, sent) }))
      await client.appendToStream('flood', events)
    }
  }
  await flood(20)()
  const before = anonymousMemory()
  await flood(120)()
  const grown = anonymousMemory() - before
  t.ok(grown < 48, `the node grew by ${grown.toFixed()} MB while 60 MB waited`)
  t.same(
    revisionsOf(await collect(slow, 1400)),
    Array.from({ length: 1400 }, (_, revision) => revision),
  )
})

t.test('a repeat is recognised after a restart too', async t => {
  const lasting = await startEventStore(t)
  const events = facts(3)
  const before = connect(t, lasting.connectionString)
  const first = await before.appendToStream('order-1', events, { expectedRevision: 'any' })
  await before.dispose()
  await lasting.kill9()
  await lasting.restart()
  const after = connect(t, lasting.connectionString)
  t.same(await after.appendToStream('order-1', events, { expectedRevision: 'any' }), first)
  t.equal((await collect(after.readStream('order-1'))).length, 3)
})

t.test('an append without events is accepted and changes nothing', async t => {
  const client = connect(t)
  t.match(await client.appendToStream('hollow', [], { expectedRevision: 'no_stream' }), { success: true })
  await client.appendToStream('hollow', facts(2), { expectedRevision: 'no_stream' })
  t.match(await client.appendToStream('hollow', [], { expectedRevision: 1n }), { nextExpectedRevision: 1n })
})

t.test('the node stops in order, with subscribers attached and appends under way', async t => {
  const dataDir = t.testdir()
  const node = await runEventStoreNode({ dataDir })
  const client = connect(t, node.connectionString)
  const subscription = client.subscribeToAll()
  await once(subscription, 'caughtUp')
  const dropped = once(subscription, 'error')
  const appends = Array.from({ length: 50 }, (_, index) =>
    client.appendToStream('last', jsonEvent({ type: 'L', data: { index } })),
  )
  await Promise.race(appends)
  await node.stop()
  await dropped
  const acknowledged = (await Promise.allSettled(appends)).filter(({ status }) => status === 'fulfilled').length
  const again = await runEventStoreNode({ dataDir, port: node.port })
  t.teardown(() => again.stop())
  t.equal(again.port, node.port)
  const reader = connect(t, again.connectionString)
  t.ok((await collect(reader.readStream('last'))).length >= acknowledged)
  t.ok(acknowledged >= 1)
})

t.test('a node that cannot start says plainly why', async t => {
  const port = Number(address.split(':')[1])
  t.match(await refusal(runEventStoreNode({ dataDir: t.testdir(), port })), {
    message: /cannot listen on 127\.0\.0\.1:\d+: listen EADDRINUSE: address already in use/,
  })
  const notAFolder = `${t.testdir({ file: 'x' })}/file`
  t.match(await refusal(runEventStoreNode({ dataDir: notAFolder })), { code: 'EEXIST' })
  const open = runEventStoreNode({ dataDir: t.testdir(), host: '0.0.0.0' })
  t.match(await refusal(open), { message: 'credentials are needed to listen on 0.0.0.0' })
})

/** Megabytes of memory of the node that are not the mapped store file. */
function anonymousMemory(): number {
  const [, kilobytes = '0'] = /RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${store.pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) / 1024
}
