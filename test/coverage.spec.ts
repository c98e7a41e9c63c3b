import t from 'tap'
import { coverageTable, percent } from './coverage.ts'
import { isUnit } from './spec-files.ts'

const files = [
  { file: 'infra/a.ts', total: 90, covered: 90 },
  { file: 'infra/b.ts', total: 10, covered: 0 },
  { file: 'vault/c.ts', total: 100, covered: 95 },
  { file: 'opsconductor.ts', total: 0, covered: 0 },
]

t.test('coverage is that of all lines together, not the mean of files', async t => {
  t.equal(percent(files), 92.5)
  t.equal(percent([]), 100)
})

t.test('the table names each folder, and each file below the threshold', async t => {
  t.same(coverageTable(files, 90), [
    'Lines covered:',
    '  90.0 %  infra',
    '   0.0 %    infra/b.ts',
    '  95.0 %  vault',
    ' 100.0 %  .',
    '  92.5 %  all',
  ])
})

t.test('unit specs are told from those that start something', async t => {
  t.equal(isUnit('build/infra/ids.spec.js'), true)
  t.equal(isUnit('build/infra/bus.int.spec.js'), false)
  t.equal(isUnit('build/test/e2e/run.spec.js'), false)
  t.equal(isUnit('build/test/crash/kill.spec.js'), false)
})
