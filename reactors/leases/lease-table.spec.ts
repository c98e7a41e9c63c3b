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

t.test(
  'after a restart of the executor a claim it does not name is over when its spool had time to arrive',
  async t => {
    const table = new LeaseTable(LEASE)
    const held = claim(true)
    table.heard('east-1', 'first', 0)
    table.listed(held, 0)
    table.heard('east-1', 'second', 5_000)
    table.heard('east-1', 'second', 12_500)
    t.notOk(table.isOver(held, 12_500))
    table.heard('east-1', 'second', 12_501)
    t.ok(table.isOver(held, 12_501))
    table.listed(held, 12_400)
    t.notOk(table.isOver(held, 12_501), 'a report from the spool is a sign of life')
  },
)

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
