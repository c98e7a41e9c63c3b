import t from 'tap'
import { LeaseTable } from './lease-table.ts'

const LEASE = 15_000
const claim = (started = false) => ({ executorId: 'east-1', epoch: 1, started })

t.test('a silent executor loses its claims after a lease', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim()
  t.notOk(table.isOver(held, 1_000), 'the lease begins when the claim is first seen')
  table.heard('east-1', 'first', 3_000)
  table.listed(held, 3_000)
  t.notOk(table.isOver(held, 3_000 + LEASE))
  t.ok(table.isOver(held, 3_001 + LEASE))
})

t.test('an executor that was never heard of has a lease too', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim()
  table.isOver(held, 1_000)
  t.notOk(table.isOver(held, 1_000 + LEASE))
  t.ok(table.isOver(held, 1_001 + LEASE))
})

t.test('a claim that heartbeats never name goes back after half a lease', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim()
  table.isOver(held, 1_000)
  table.heard('east-1', 'first', 8_500)
  t.notOk(table.isOver(held, 15_000), 'only heartbeats tell that it is not named, not the time without any')
  table.heard('east-1', 'first', 8_501)
  t.ok(table.isOver(held, 8_501))
})

t.test('named in heartbeats, a claim holds for ever', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim(true)
  for (let now = 0; now <= 10 * LEASE; now += LEASE / 3) {
    table.heard('east-1', 'first', now)
    table.listed(held, now)
    t.notOk(table.isOver(held, now + LEASE / 3))
  }
})

t.test('a started step that is no longer named has a full lease', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim(true)
  table.heard('east-1', 'first', 0)
  table.listed(held, 0)
  table.heard('east-1', 'first', LEASE)
  t.notOk(table.isOver(held, LEASE))
  table.heard('east-1', 'first', LEASE + 1)
  t.ok(table.isOver(held, LEASE + 1))
})

t.test('a restarted executor names what it still has: what it does not is over with its next heartbeat', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim(true)
  table.heard('east-1', 'first', 0)
  table.listed(held, 0)
  table.heard('east-1', 'second', 5_000)
  table.heard('east-1', 'second', 8_000)
  t.notOk(table.isOver(held, 8_000))
  table.heard('east-1', 'second', 8_001)
  t.ok(table.isOver(held, 8_001))
  table.listed(held, 7_900)
  t.notOk(table.isOver(held, 8_001), 'a report from the spool is a sign of life')
})

t.test('what was claimed for the process that asks now is not measured by the one before', async t => {
  const table = new LeaseTable(LEASE)
  table.heard('east-1', 'first', 0)
  table.met('east-1', 'second', 5_000)
  const held = claim()
  table.isOver(held, 5_001)
  table.heard('east-1', 'second', 5_100)
  table.heard('east-1', 'second', 9_000)
  t.notOk(table.isOver(held, 9_000), 'it has half a lease to be named, like any other')
  table.heard('east-1', 'second', 12_502)
  t.ok(table.isOver(held, 12_502))
})

t.test('who has had an answer of this session and does not name what was handed out before never got it', async t => {
  const table = new LeaseTable(LEASE)
  const [lost, got, begun, later] = [claim(), claim(), claim(true), claim()]
  table.beginSession([lost, got, begun], 1_000)
  table.listed(later, 1_001)
  table.heard('east-1', 'first', 1_100)
  t.notOk(table.isOver(lost, 1_100), 'it may have said that before it had an answer')
  table.heard('east-1', 'first', 1_200, true)
  table.listed(got, 1_200)
  t.ok(table.isOver(lost, 1_200))
  t.notOk(table.isOver(got, 1_200))
  t.ok(table.isOver(begun, 1_200), 'nor anything it could still say of it')
  t.notOk(table.isOver(later, 1_200), 'the answer may still be on its way')
  table.beginSession([later], 2_000)
  t.notOk(table.isOver(later, 2_001), 'another session, and no answer of it yet')
  table.heard('east-1', 'first', 2_100, true)
  t.ok(table.isOver(later, 2_100))
})

t.test('what was handed back after its step had been started is over when it is named no longer', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim(true)
  table.heard('east-1', 'first', 1_000)
  table.listed(held, 1_000)
  table.givenUp(held, 1_500)
  t.notOk(table.isOver(held, 1_600), 'it may have something to say yet')
  table.heard('east-1', 'first', 2_000)
  table.listed(held, 2_000)
  t.notOk(table.isOver(held, 2_000), 'and has, as long as it names it')
  table.heard('east-1', 'first', 5_000)
  t.ok(table.isOver(held, 5_000))
})

t.test('silence does not count while nobody could be heard', async t => {
  const table = new LeaseTable(LEASE)
  const held = claim()
  table.heard('east-1', 'first', 0)
  table.listed(held, 0)
  table.forgive(60_000)
  t.notOk(table.isOver(held, 60_000 + LEASE))
  t.ok(table.isOver(held, 60_001 + LEASE))
})

t.test('executors that are long gone are forgotten', async t => {
  const table = new LeaseTable(LEASE)
  table.heard('east-1', 'first', 0)
  table.prune(100 * LEASE + 1)
  const held = claim()
  const now = 100 * LEASE + 2
  table.isOver(held, now)
  t.notOk(table.isOver(held, now + LEASE), 'as if never heard')
})
