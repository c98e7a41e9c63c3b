import t from 'tap'
import { Shared } from './shared.ts'

t.test('what several use at a time is made once and disposed of when the last lets go', async t => {
  const disposed: string[] = []
  const shared = new Shared<string>(value => disposed.push(value))
  let made = 0
  const make = () => `value ${++made}`
  const first = shared.take('a', make)
  const second = shared.take('a', make)
  t.equal(second.value, first.value)
  t.equal(shared.take('b', make).value, 'value 2', 'another key has a value of its own')
  first.release()
  first.release()
  t.same(disposed, [], 'letting go twice counts once')
  second.release()
  t.same(disposed, ['value 1'])
  t.equal(shared.take('a', make).value, 'value 3', 'nothing was kept')
})

t.test('what cannot be made is not kept', async t => {
  const shared = new Shared<string>()
  const fail = () => {
    throw new Error('no such key')
  }
  t.throws(() => shared.take('a', fail), /no such key/)
  t.equal(shared.take('a', () => 'made').value, 'made')
})
