import t from 'tap'
import { measurement } from './measurement.ts'

t.test('a measurement is the median of its runs, with their spread and the ratio to its baseline', async t => {
  t.same(measurement('x', 'ms', [30, 10, 20], 40), {
    name: 'x',
    value: 20,
    unit: 'ms',
    baseline: 40,
    ratio: 0.5,
    runs: 3,
    spread: 1,
  })
  t.match(measurement('x', 'ms', [10, 20]), { value: 15, baseline: null, ratio: null })
  t.match(measurement('x', 'ms', [0]), { value: 0, spread: 0 })
  t.throws(() => measurement('x', 'ms', []), /at least one run/)
})
