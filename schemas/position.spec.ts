import t from 'tap'
import { comparePositions, formatPosition, parsePosition } from './position.ts'

t.test('a position reads back as it was written', async t => {
  for (const position of [
    { commit: 7n, prepare: 7n },
    { commit: 9223372036854775807n, prepare: 3n },
  ])
    t.same(parsePosition(formatPosition(position)), position)
  t.equal(formatPosition({ commit: 7n, prepare: 7n }), '7')
})
t.test('what is no position is refused', async t => {
  for (const text of [
    '',
    '-1',
    '1/',
    '1/2/3',
    '1.5',
    '0x10',
    '123456789012345678901',
    '9223372036854775808',
    '1/9223372036854775808',
  ])
    t.throws(() => parsePosition(text), text)
})
t.test('positions are ordered by commit, then prepare', async t => {
  const ordered = ['1', '2/1', '2', '10'].map(parsePosition)
  t.same([...ordered].reverse().sort(comparePositions), ordered)
  t.equal(comparePositions({ commit: 1n, prepare: 1n }, { commit: 1n, prepare: 1n }), 0)
})
