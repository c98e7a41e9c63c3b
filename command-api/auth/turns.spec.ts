import t from 'tap'
import { createTurns } from './turns.ts'

t.test('what is about the same thing is done one after another, and a failure holds up nobody', async t => {
  const inTurn = createTurns()
  const told: string[] = []
  const work = (key: string, name: string, fails = false) =>
    inTurn(key, async () => {
      told.push(`${name} begins`)
      await new Promise(setImmediate)
      told.push(`${name} ends`)
      if (fails) throw new Error(name)
      return name
    })
  const ended = await Promise.allSettled([work('a', '1', true), work('a', '2'), work('b', '3'), work('a', '4')])
  t.match(ended, [{ reason: /1/ }, { value: '2' }, { value: '3' }, { value: '4' }])
  const ofA = told.filter(text => !text.startsWith('3'))
  t.same(ofA, ['1 begins', '1 ends', '2 begins', '2 ends', '4 begins', '4 ends'])
  t.ok(told.indexOf('3 begins') < told.indexOf('2 begins'), 'others do not wait')
  t.equal(await work('a', '5'), '5')
})
