import t from 'tap'
import { environmentOf } from './target.ts'

t.test('the environment is what the tags say, in one spelling', async t => {
  for (const [tags, environment] of [
    [{ environment: 'production', env: 'lab' }, 'production'],
    [{ env: 'lab' }, 'lab'],
    [{ env: ' Production ' }, 'production'],
    [{ env: 'prod' }, 'production'],
    [{ environment: 'PRD' }, 'production'],
    [{ env: '' }, undefined],
    [{ role: 'web' }, undefined],
  ] as const)
    t.equal(environmentOf(tags), environment)
})
