import { END } from '@eventstore/db-client'
import type { Test } from 'tap'
import { type Contract, collect, fact, facts, refusal, revisionsOf, typesOf } from './support.ts'

/** What every store does with stream metadata, deletes and tombstones. */
export function streamContract(t: Test, { client, fresh }: Contract): void {
  t.test('metadata is what was set last', async t => {
    const stream = fresh('order')
    t.same(await client.getStreamMetadata(stream), { streamName: stream })
    await client.setStreamMetadata(stream, { maxCount: 5, owner: 'ops' })
    await client.setStreamMetadata(stream, { maxCount: 2 })
    t.match(await client.getStreamMetadata(stream), { metadata: { maxCount: 2 } })
    t.equal((await collect(client.readStream(`$$${stream}`))).length, 1, 'a metadata stream shows its last event only')
  })

  t.test('$maxCount and $tb hide the oldest events of a stream', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(10))
    await client.setStreamMetadata(stream, { maxCount: 4 })
    t.same(revisionsOf(await collect(client.readStream(stream))), [6, 7, 8, 9])
    await client.setStreamMetadata(stream, { truncateBefore: 8 })
    t.same(revisionsOf(await collect(client.readStream(stream))), [8, 9])
    const backwards = client.readStream(stream, { direction: 'backwards', fromRevision: END })
    t.same(revisionsOf(await collect(backwards)), [9, 8])
    t.equal((await client.appendToStream(stream, fact('Next'), { expectedRevision: 9n })).nextExpectedRevision, 10n)
  })

  t.test('$maxAge hides events older than it', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(3))
    await client.setStreamMetadata(stream, { maxAge: 3600 })
    t.equal((await collect(client.readStream(stream))).length, 3)
  })

  t.test('a deleted stream is gone until it is written again, and goes on counting', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(3))
    t.match(await refusal(client.deleteStream(stream, { expectedRevision: 0n })), { type: 'wrong-expected-version' })
    const deleted = await client.deleteStream(stream, { expectedRevision: 2n })
    t.ok(deleted.position)
    t.match(await refusal(collect(client.readStream(stream))), { type: 'stream-not-found' })
    const again = await client.appendToStream(stream, fact('Reborn'), { expectedRevision: 'no_stream' })
    t.equal(again.nextExpectedRevision, 3n)
    t.same(typesOf(await collect(client.readStream(stream))), ['Reborn'])
  })

  t.test('a tombstoned stream can never be read, written or deleted again', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(2))
    t.match(await refusal(client.tombstoneStream(stream, { expectedRevision: 7n })), { type: 'wrong-expected-version' })
    t.ok((await client.tombstoneStream(stream, { expectedRevision: 1n })).position)
    const stopped = { type: 'stream-deleted', streamName: stream }
    t.match(await refusal(collect(client.readStream(stream))), stopped)
    t.match(await refusal(client.appendToStream(stream, fact('A'), { expectedRevision: 'any' })), stopped)
    t.match(await refusal(client.appendToStream(stream, fact('A'), { expectedRevision: 1n })), stopped)
    t.match(await refusal(client.deleteStream(stream)), stopped)
    t.match(await refusal(client.tombstoneStream(stream)), stopped)
    t.match(await refusal(collect(client.subscribeToStream(stream))), stopped)
  })

  t.test('a stream that never was can be tombstoned', async t => {
    const stream = fresh('order')
    await client.tombstoneStream(stream, { expectedRevision: 'no_stream' })
    t.match(await refusal(client.appendToStream(stream, fact('A'))), { type: 'stream-deleted' })
  })
}
