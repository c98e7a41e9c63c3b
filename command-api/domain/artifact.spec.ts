import t from 'tap'
import { specFor } from '../../test/support/decider-spec.ts'
import { artifact } from './artifact.ts'

const file = { sha256: 'ab'.repeat(32), bytes: 4 }
const store = { type: 'store-artifact', data: file } as const
const stored = { type: 'ArtifactStored', data: file } as const
const unused = { ...file, unusedDays: 90 }
const remove = { type: 'remove-artifact', data: unused } as const
const removed = { type: 'ArtifactRemoved', data: unused } as const

t.test('a file is stored once, and again after it was removed', async t => {
  const given = specFor(t, artifact).given
  given().when(store, undefined).thenRecords(stored)
  given(stored).when(store, undefined).thenNothing()
  given(stored, removed).when(store, undefined).thenRecords(stored)
  given(stored, removed, stored).when(store, undefined).thenNothing()
})

t.test('it is removed once, also when nobody wrote down that it was stored', async t => {
  const given = specFor(t, artifact).given
  given(stored).when(remove, undefined).thenRecords(removed)
  given().when(remove, undefined).thenRecords(removed)
  given(stored, removed).when(remove, undefined).thenNothing()
})
