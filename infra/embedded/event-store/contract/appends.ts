import { randomUUID } from 'node:crypto'
import { binaryEvent, type EventData, jsonEvent } from '@eventstore/db-client'
import type { Test } from 'tap'
import { type Contract, collect, fact, facts, refusal, revisionsOf, typesOf } from './support.ts'

const MIB = 2 ** 20

/** What every store does on append, whichever of its two append calls the client picks. */
export function appendContract(t: Test, { client, fresh }: Contract): void {
  t.test('an append is read back as it was written', async t => {
    const stream = fresh('order')
    const before = Date.now()
    const placed = jsonEvent({ type: 'OrderPlaced', data: { total: 12, note: 'grüße 🚀' }, metadata: { by: 'ann' } })
    const scanned = binaryEvent({ type: 'Scanned', data: Buffer.from([0, 255, 10]), metadata: Buffer.from([1, 2]) })
    const result = await client.appendToStream(stream, [placed, scanned], { expectedRevision: 'no_stream' })
    t.match(result, { success: true, nextExpectedRevision: 1n })
    const [first, second] = await collect(client.readStream(stream))
    t.match(first?.event, { id: placed.id, type: 'OrderPlaced', streamId: stream, revision: 0n, isJson: true })
    t.same(first?.event?.data, { total: 12, note: 'grüße 🚀' })
    t.same(first?.event?.metadata, { by: 'ann' })
    t.same(Buffer.from(second?.event?.data as Uint8Array), Buffer.from([0, 255, 10]))
    t.equal(second?.event?.isJson, false)
    const created = first?.event?.created.getTime() ?? 0
    t.ok(created >= before - 1000 && created <= Date.now() + 1000, 'created is now')
    t.equal(second?.event?.position?.commit, second?.event?.position?.prepare)
    t.same(result.position, second?.event?.position)
    t.ok((first?.event?.position?.commit ?? 0n) < (second?.event?.position?.commit ?? 0n))
  })

  t.test('revisions are contiguous over appends of any size', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(3), { expectedRevision: 'no_stream' })
    await client.appendToStream(stream, facts(1), { expectedRevision: 2n })
    await client.appendToStream(stream, facts(300), { expectedRevision: 'stream_exists' })
    await client.appendToStream(stream, facts(1), { expectedRevision: 'any' })
    const all = await collect(client.readStream(stream))
    t.same(
      revisionsOf(all),
      Array.from({ length: 305 }, (_, revision) => revision),
    )
  })

  t.test('an append with the wrong expected revision is refused with both revisions', async t => {
    const stream = fresh('order')
    const onMissing = await refusal(client.appendToStream(stream, fact('A'), { expectedRevision: 0n }))
    t.match(onMissing, { type: 'wrong-expected-version', expectedVersion: 0n, actualVersion: 'no_stream' })
    const onAbsent = await refusal(client.appendToStream(stream, fact('A'), { expectedRevision: 'stream_exists' }))
    t.match(onAbsent, { type: 'wrong-expected-version', expectedVersion: 'stream_exists' })
    await client.appendToStream(stream, facts(2), { expectedRevision: 'no_stream' })
    const onExisting = await refusal(client.appendToStream(stream, fact('A'), { expectedRevision: 'no_stream' }))
    t.match(onExisting, { type: 'wrong-expected-version', expectedVersion: 'no_stream', actualVersion: 1n })
    const tooHigh = await refusal(client.appendToStream(stream, fact('A'), { expectedRevision: 7n }))
    t.match(tooHigh, { type: 'wrong-expected-version', expectedVersion: 7n, actualVersion: 1n })
    const tooLow = await refusal(client.appendToStream(stream, fact('A'), { expectedRevision: 0n }))
    t.match(tooLow, { type: 'wrong-expected-version', expectedVersion: 0n, actualVersion: 1n })
    t.equal((await collect(client.readStream(stream))).length, 2)
  })

  t.test('a repeated append writes nothing and gets the first answer', async t => {
    const stream = fresh('order')
    const events = facts(3)
    const first = await client.appendToStream(stream, events, { expectedRevision: 'no_stream' })
    const repeats: EventData[][] = [events, events.slice(0, 2)]
    for (const repeat of repeats) {
      const again = await client.appendToStream(stream, repeat, { expectedRevision: 'no_stream' })
      t.equal(again.nextExpectedRevision, BigInt(repeat.length - 1))
    }
    t.same(await client.appendToStream(stream, events, { expectedRevision: 'no_stream' }), first)
    await client.appendToStream(stream, fact('Next'), { expectedRevision: 2n })
    const late = await client.appendToStream(stream, events.slice(1), { expectedRevision: 0n })
    t.equal(late.nextExpectedRevision, 2n)
    const any = await client.appendToStream(stream, events, { expectedRevision: 'any' })
    t.equal(any.nextExpectedRevision, 2n)
    t.equal((await collect(client.readStream(stream))).length, 4)
  })

  t.test('an append that repeats only in part is a wrong version', async t => {
    const stream = fresh('order')
    const [one, two, three] = facts(3) as [EventData, EventData, EventData]
    await client.appendToStream(stream, [one, two], { expectedRevision: 'no_stream' })
    const partial = [
      { events: [one, two, three], expectedRevision: 'no_stream' as const },
      { events: [one, three], expectedRevision: 'no_stream' as const },
      { events: [two, three], expectedRevision: 0n },
      { events: [two, one], expectedRevision: 'no_stream' as const },
    ]
    for (const { events, expectedRevision } of partial) {
      t.match(await refusal(client.appendToStream(stream, events, { expectedRevision })), {
        type: 'wrong-expected-version',
      })
    }
    t.equal((await collect(client.readStream(stream))).length, 2)
  })

  t.test('the same event id may be used in another stream', async t => {
    const [left, right] = [fresh('order'), fresh('order')]
    const shared = { ...fact('Shared'), id: randomUUID() }
    await client.appendToStream(left, shared, { expectedRevision: 'any' })
    await client.appendToStream(right, shared, { expectedRevision: 'any' })
    t.equal((await collect(client.readStream(right))).length, 1)
  })

  t.test('one mebibyte is the most an append may hold', async t => {
    const stream = fresh('blob')
    const sized = (bytes: number) => binaryEvent({ type: 'B', data: Buffer.alloc(bytes, 1) })
    const tooLarge = await refusal(client.appendToStream(stream, sized(MIB + 1), { expectedRevision: 'no_stream' }))
    t.match(tooLarge, { type: 'maximum-append-size-exceeded', maxAppendSize: MIB })
    const halves = [sized(MIB / 2), sized(MIB / 2), sized(1)]
    t.match(await refusal(client.appendToStream(stream, halves, { expectedRevision: 'no_stream' })), {
      type: 'maximum-append-size-exceeded',
    })
    const largest = await client.appendToStream(stream, sized(MIB - 1024), { expectedRevision: 'no_stream' })
    t.equal(largest.nextExpectedRevision, 0n)
    const [read] = await collect(client.readStream(stream))
    t.equal(Buffer.from(read?.event?.data as Uint8Array).length, MIB - 1024)
  })

  t.test('an append sent in several parts is one append', async t => {
    const stream = fresh('order')
    const events = facts(50)
    await client.appendToStream(stream, events, { expectedRevision: 'no_stream', batchAppendSize: 256 })
    t.same(revisionsOf(await collect(client.readStream(stream))).at(-1), 49)
  })

  t.test('an append whose deadline has passed is answered with a timeout and not written', async t => {
    const stream = fresh('order')
    const late = client.appendToStream(stream, fact('Late'), { expectedRevision: 'no_stream', deadline: -1000 })
    t.match(await refusal(late), { type: 'deadline-exceeded' })
    await client.appendToStream(stream, fact('OnTime'), { expectedRevision: 'no_stream' })
    t.same(typesOf(await collect(client.readStream(stream))), ['OnTime'])
  })

  t.test('of many writers with the same expectation exactly one wins each revision', async t => {
    const stream = fresh('counter')
    for (let revision = -1; revision < 4; revision++) {
      const expectedRevision = revision < 0 ? 'no_stream' : BigInt(revision)
      const races = Array.from({ length: 8 }, (_, writer) =>
        client.appendToStream(stream, fact('Won', { writer }), { expectedRevision }),
      )
      const won = (await Promise.allSettled(races)).filter(race => race.status === 'fulfilled')
      t.equal(won.length, 1)
    }
    t.same(revisionsOf(await collect(client.readStream(stream))), [0, 1, 2, 3, 4])
  })
}
