import t from 'tap'
import { ProblemError } from '../schemas/problems.ts'
import { bounded } from './command-record.ts'

const entry = (i: number, length = 10) => ({ path: `steps.${i}`, message: 'x'.repeat(length) })
const refusal = (count: number, length?: number) =>
  new ProblemError(
    'invalid-workflow',
    'why',
    Array.from({ length: count }, (_, i) => entry(i, length)),
  )

t.test('a refusal is kept whole as long as it fits', async t => {
  t.match(bounded(refusal(3)), { code: 'invalid-workflow', detail: 'why', errors: [entry(0), entry(1), entry(2)] })
  t.equal(bounded(new ProblemError('job-archived', 'why')).errors, undefined)
})

t.test('what does not fit is counted', async t => {
  const many = bounded(refusal(130)).errors ?? []
  t.equal(many.length, 101)
  t.same(many.at(-1), { path: '', message: 'and 30 more' })
  const long = bounded(refusal(40, 1_000)).errors ?? []
  t.ok(JSON.stringify(long).length < 17_000)
  t.same(long.at(-1), { path: '', message: `and ${41 - long.length} more` })
})
