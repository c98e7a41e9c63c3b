import { type AllStreamResolvedEvent, END, FORWARDS, START } from '@eventstore/db-client'
import type { Test } from 'tap'
import { type Contract, collect, fact, facts, refusal, revisionsOf } from './support.ts'

/** What every store does on reads of a stream and of $all. */
export function readContract(t: Test, { client, fresh }: Contract): void {
  t.test('a stream is read from any revision in both directions, inclusive', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(10), { expectedRevision: 'no_stream' })
    const read = async (options: Parameters<typeof client.readStream>[1]) =>
      revisionsOf(await collect(client.readStream(stream, options)))
    t.same(await read({ fromRevision: 7n }), [7, 8, 9])
    t.same(await read({ fromRevision: 2n, maxCount: 3 }), [2, 3, 4])
    t.same(await read({ fromRevision: 2n, direction: 'backwards' }), [2, 1, 0])
    t.same(await read({ fromRevision: END, direction: 'backwards', maxCount: 2 }), [9, 8])
    t.same(await read({ fromRevision: START, maxCount: 1 }), [0])
    t.same(await read({ fromRevision: START, direction: 'backwards', maxCount: 1 }), [0])
    t.same(await read({ fromRevision: 99n }), [])
    t.same(await read({ fromRevision: 99n, direction: 'backwards', maxCount: 1 }), [9])
  })

  t.test('a stream longer than a page is read whole in both directions', async t => {
    const stream = fresh('order')
    for (let sent = 0; sent < 1200; sent += 400) await client.appendToStream(stream, facts(400))
    const forwards = revisionsOf(await collect(client.readStream(stream)))
    t.same(
      forwards,
      Array.from({ length: 1200 }, (_, revision) => revision),
    )
    const backwards = await collect(client.readStream(stream, { direction: 'backwards', fromRevision: END }))
    t.same(revisionsOf(backwards), forwards.toReversed())
  })

  t.test('a stream that was never written is not found', async t => {
    const stream = fresh('order')
    t.match(await refusal(collect(client.readStream(stream))), { type: 'stream-not-found', streamName: stream })
    const backwards = client.readStream(stream, { direction: 'backwards', fromRevision: END })
    t.match(await refusal(collect(backwards)), { type: 'stream-not-found' })
  })

  t.test('$all holds every event once, in one order, in both directions', async t => {
    const [left, right] = [fresh('left'), fresh('right')]
    const start = (await client.appendToStream(left, fact('First'))).position
    if (!start) throw new Error('an append has a position')
    for (let turn = 0; turn < 5; turn++) {
      await client.appendToStream(right, facts(70))
      await client.appendToStream(left, facts(70))
    }
    const end = (await client.appendToStream(right, fact('Last'))).position
    if (!end) throw new Error('an append has a position')
    const ours = ({ event }: AllStreamResolvedEvent) => event?.streamId === left || event?.streamId === right
    const key = ({ event }: AllStreamResolvedEvent) => `${event?.revision}@${event?.streamId}`
    const forwards = (await collect(client.readAll({ fromPosition: start, direction: FORWARDS }))).filter(ours)
    t.equal(forwards.length, 702)
    t.equal(new Set(forwards.map(key)).size, 702)
    const positions = forwards.map(({ event }) => event?.position.commit ?? 0n)
    t.same(
      positions,
      positions.toSorted((a, b) => Number(a - b)),
    )
    t.equal(forwards[0]?.event?.type, 'First', 'a read from a position includes it')
    const backwards = (
      await collect(client.readAll({ fromPosition: END, direction: 'backwards', maxCount: 100 }))
    ).filter(ours)
    t.same(backwards.map(key), forwards.slice(-backwards.length).toReversed().map(key))
    const fromLast = (await collect(client.readAll({ fromPosition: end }))).filter(ours)
    t.same(fromLast.map(key), [`350@${right}`])
    t.same(await collect(client.readAll({ fromPosition: START, maxCount: 1, direction: 'backwards' })), [])
    t.same(await collect(client.readAll({ fromPosition: END })), [])
  })

  t.test('a link is followed when asked for, and stands for itself otherwise', async t => {
    const [target, links] = [fresh('order'), fresh('links')]
    await client.appendToStream(target, [fact('Zero'), fact('One')])
    const link = (to: string) => ({
      ...fact('$>'),
      contentType: 'application/octet-stream' as const,
      data: Buffer.from(to),
    })
    await client.appendToStream(links, [link(`1@${target}`), link(`9@${target}`)])
    const [followed, dangling] = await collect(client.readStream(links, { resolveLinkTos: true }))
    t.match(followed, { event: { type: 'One', revision: 1n }, link: { type: '$>', revision: 0n } })
    t.match(dangling, { link: { revision: 1n } })
    t.equal(dangling?.event, undefined)
    const [plain] = await collect(client.readStream(links))
    t.match(plain, { event: { type: '$>' } })
  })
}
