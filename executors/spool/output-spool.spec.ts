import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { OutputChunk } from '../../schemas/bus.ts'
import { AttemptOutput } from '../output/attempt-output.ts'
import { maskSet } from '../output/masker.ts'
import { OutputSpool, type SpooledChunk } from './output-spool.ts'

const disk = { onFull: () => undefined, onFatal: (error: Error) => t.fail(error.message) }
const id = { runId: '0190a000-0000-7000-8000-000000000001', n: 0, epoch: 1, stepId: 'do', attempt: 1 }
const chunk = (seq: number, bytes: number): OutputChunk => ({
  ...{ ...id, seq, stream: 'stdout', byteOffset: 0, at: '2026-03-01T12:00:00.000Z' },
  data: Buffer.alloc(bytes, 'x').toString('base64'),
})
const bytesIn = (folder: string) =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0)

t.test('takes what there is room for, and room comes back', async t => {
  const folder = t.testdir()
  const spool = new OutputSpool(folder, disk, { totalBytes: 10_000, memoryBytes: 2_000, segmentBytes: 4_000 })
  const taken: SpooledChunk[] = []
  for (let seq = 1; seq <= 20; seq += 1) {
    const kept = spool.add(chunk(seq, 600))
    if (kept) taken.push(kept)
  }
  const each = Buffer.byteLength(JSON.stringify(chunk(1, 600)))
  t.equal(taken.length, Math.floor(10_000 / each))
  await spool.flush()
  t.ok(bytesIn(folder) < 11_000, 'no more is on disk either')
  const [first, last] = [taken[0], taken.at(-1)]
  if (!first || !last) throw new Error('two chunks')
  t.equal(JSON.parse((await spool.json(first)).toString()).seq, 1)
  t.equal(taken.filter(kept => kept.json).length, Math.floor(2_000 / each), 'the rest is read back from disk')
  t.equal(JSON.parse((await spool.json(last)).toString()).seq, taken.length)
  for (const kept of taken) spool.done(kept)
  t.ok(bytesIn(folder) < 4_000, 'what is stored leaves the disk')
  t.ok(spool.add(chunk(21, 600)))
  await spool.close()
})

t.test('a restart finds what was not stored, and nothing else', async t => {
  const folder = t.testdir()
  const limits = { segmentBytes: 1_500 }
  const spool = new OutputSpool(folder, disk, limits)
  const taken = [1, 2, 3, 4].map(seq => spool.add(chunk(seq, 600)))
  for (const each of taken.slice(0, 2)) if (each) spool.done(each)
  await spool.close()
  const again = new OutputSpool(folder, disk, limits)
  const found = await Promise.all(
    again.recover().map(async each => JSON.parse((await again.json(each)).toString()).seq),
  )
  t.same(found, [3, 4])
  await again.close()
  t.same(readdirSync(folder).length, 1)
})

t.test('what there was no room for is a gap, and the digest is over the rest', async t => {
  let room = 3
  const kept: OutputChunk[] = []
  const output = new AttemptOutput({
    ...{ id, masks: maskSet([]), capBytes: 1e9, captureBytes: 0 },
    clock: { now: () => '2026-03-01T12:00:00.000Z', monotonic: () => 0 },
    keep: each => {
      room -= 1
      if (room < 0 && room > -5) return false
      kept.push(each)
      return true
    },
  })
  for (let i = 0; i < 10; i += 1) output.push('stdout', Buffer.alloc(64 * 1024, String(i)))
  const { digest, gaps } = output.end()
  t.same(gaps, [{ from: 4, to: 7 }])
  t.match(digest, { truncated: true, chunks: kept.length, bytes: kept.length * 64 * 1024 })
})
