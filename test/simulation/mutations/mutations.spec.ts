import t from 'tap'
import { hunt } from './hunt.ts'
import { mutations } from './list.ts'
import { occurrences } from './mutant.ts'

t.test('every guard that is to be taken away is there, once', async t => {
  t.ok(mutations.length >= 20, `${mutations.length} guards`)
  t.equal(new Set(mutations.map(({ name }) => name)).size, mutations.length)
  for (const mutation of mutations)
    for (const edit of [mutation, ...(mutation.also ?? [])]) t.equal(occurrences(edit), 1, mutation.name)
})

t.test('a guard that is taken away is missed at once', async t => {
  const [mutation] = mutations.filter(({ name }) => name === 'batches are not waited for')
  if (!mutation) throw new Error('no such mutation')
  t.match(await hunt(mutation, 200), { by: /seed \d+: .*of the batch before was over/ })
})
