import { readFileSync } from 'node:fs'
import t from 'tap'
import { defaultRules } from './default-rules.ts'
import { ruleTable } from './rule-table.ts'

t.test('docs/safety-checks.md lists the rules as they are', async t => {
  const text = readFileSync('docs/safety-checks.md', 'utf8')
  t.ok(text.includes(ruleTable(defaultRules)), 'write the table anew: node build/infra/safety/rule-table.js')
})
