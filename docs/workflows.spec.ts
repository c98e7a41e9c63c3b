import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { functions, methods } from '../command-api/domain/workflow/functions.ts'
import { validateWorkflow } from '../command-api/domain/workflow/index.ts'
import { type Definition, jobCommands, strategySchema } from '../schemas/job.ts'

/** The sources lie beside the build folder that the specs run in. */
const guide = readFileSync(new URL('../../docs/workflows.md', import.meta.url), 'utf8')
const examples = [...guide.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text)

t.test('every example can be defined as it stands', async t => {
  t.ok(examples.length >= 8, `${examples.length} examples`)
  for (const text of examples) {
    const job: Definition & { name: string } = jobCommands['define-job'].parse(parse(text))
    t.same(validateWorkflow(job), [], job.name)
  }
})

t.test('what there is, is in the guide', async t => {
  const names = [...Object.keys(functions), ...Object.keys(methods)].filter(name => name !== 'dyn')
  const fields = [
    ...Object.keys(strategySchema.shape).map(name => `strategy.${name}`),
    'overlap',
    'priority',
    'pool',
    'access',
  ]
  for (const word of [...names, ...fields]) t.match(guide, new RegExp(`\\b${word}\\b`), word)
})
