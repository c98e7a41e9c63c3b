import t from 'tap'
import { derivedId } from '../../infra/ids.ts'
import type { LiveOutput, OutputChunk } from '../../schemas/bus.ts'
import { Output } from './output.ts'
import type { StoredChunk } from './output-store.ts'

const nightly = derivedId('run', 'nightly')
const urgent = derivedId('run', 'urgent')

const chunk = (seq: number, runId = nightly, data = 'eA=='): OutputChunk => ({
  ...{ runId, n: 0, stepId: 'uptime', attempt: 1, epoch: 1, seq, stream: 'stdout', byteOffset: seq },
  ...{ at: '2026-03-01T12:00:00.000Z', data },
})
const batch = (...chunks: OutputChunk[]) => ({ executorId: 'east-1', chunks })

/** A store that answers when it is told to. */
function scene() {
  const statements: OutputChunk[][] = []
  const answers: Array<(error?: Error) => void> = []
  const shown: Array<{ subject: string; live: LiveOutput }> = []
  let seq = 0
  const store = (chunks: OutputChunk[]) => {
    statements.push(chunks)
    return new Promise<StoredChunk[]>((resolve, reject) => {
      answers.push(error => {
        if (error) return reject(error)
        const numbered = chunks.map(each => {
          seq += 1
          return { ...each, outputSeq: String(seq) }
        })
        return resolve(numbered)
      })
    })
  }
  const output = new Output(store, (subject, live) => shown.push({ subject, live }))
  return { output, statements, shown, answer: (error?: Error) => answers.shift()?.(error) }
}

t.test('what comes while one statement runs shares the next', async t => {
  const { output, statements, answer } = scene()
  const first = output.receive(batch(chunk(1)))
  const more = [2, 3, 4].map(seq => output.receive(batch(chunk(seq))))
  t.same(
    statements.map(chunks => chunks.length),
    [1],
  )
  answer()
  t.same(await first, { stored: 1 })
  await new Promise(resolve => setImmediate(resolve))
  t.same(
    statements.map(chunks => chunks.length),
    [1, 3],
  )
  answer()
  t.same(await Promise.all(more), [{ stored: 1 }, { stored: 1 }, { stored: 1 }])
})

t.test('a statement takes only so much', async t => {
  const { output, statements, answer } = scene()
  const large = () => batch(...Array.from({ length: 256 }, (_, i) => chunk(i + 1)))
  const all = [output.receive(large()), ...Array.from({ length: 10 }, () => output.receive(large()))]
  for (let i = 0; i < 3; i += 1) {
    answer()
    await new Promise(resolve => setImmediate(resolve))
  }
  await Promise.all(all)
  t.same(
    statements.map(chunks => chunks.length),
    [256, 2048, 512],
  )
})

t.test('what could not be stored is told to those whose it was, and not shown', async t => {
  const { output, shown, answer } = scene()
  const first = output.receive(batch(chunk(1)))
  const second = output.receive(batch(chunk(2)))
  answer(new Error('no space'))
  await t.rejects(first, { message: 'no space' })
  answer()
  t.same(await second, { stored: 1 })
  t.equal(shown.length, 1)
})

t.test('each run is shown its own, in parts that a message can carry', async t => {
  const { output, shown, answer } = scene()
  const large = 'x'.repeat(300_000)
  const done = output.receive(batch(chunk(1, nightly, large), chunk(1, urgent), chunk(2, nightly, large)))
  answer()
  await done
  t.same(
    shown.map(({ subject, live }) => [subject, live.chunks.map(each => each.outputSeq)]),
    [
      [`opsc.live.v1.${nightly}`, ['1']],
      [`opsc.live.v1.${nightly}`, ['3']],
      [`opsc.live.v1.${urgent}`, ['2']],
    ],
  )
})
