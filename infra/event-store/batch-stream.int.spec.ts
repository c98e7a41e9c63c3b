import t, { type Test } from 'tap'
import { startEventStore } from '../../test/support/event-store.ts'
import { eventId } from '../ids.ts'
import { connectEventStore } from './client.ts'
import type { NewEvent } from './port.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`

function disabled(n: number, reason = 'worn out'): NewEvent {
  const [commandId, at] = [id(n), '2030-01-01T00:00:00.000Z']
  const caused = { commandId, $correlationId: commandId, $causationId: commandId, at }
  const metadata = { ...caused, actor: { kind: 'system', id: 'spec' }, origin: { channel: 'system' } } as const
  return { type: 'JobDisabled', data: { jobId: id(1), reason }, id: eventId(commandId, 0), metadata }
}

async function open(t: Test) {
  const node = await startEventStore(t)
  const store = connectEventStore(node.connectionString, { appendDeadlineMs: 3_000 })
  t.teardown(() => store.close())
  await store.append('job-first', [disabled(1)], 'none')
  return { store, node }
}

t.test('a broken connection harms nobody who appends over another one', async t => {
  const [broken, slow] = [await open(t), await open(t)]
  process.kill(slow.node.pid, 'SIGSTOP')
  const waiting = Array.from({ length: 20 }, (_, n) => slow.store.append(`job-${n}`, [disabled(n)], 'none'))
  const outcomes = Promise.allSettled(waiting)
  await broken.node.kill9()
  await t.rejects(broken.store.append('job-b', [disabled(2)], 'none'), { name: 'AppendOutcomeUnknown' })
  process.kill(slow.node.pid, 'SIGCONT')
  // The client gives all of them up, though the answers still come; whoever repeats an append finds it done.
  const repeated = await Promise.all(waiting.map((_, n) => slow.store.append(`job-${n}`, [disabled(n)], 'none')))
  t.same(new Set(repeated.map(({ revision }) => revision)), new Set([0n]))
  for (const outcome of await outcomes)
    if (outcome.status === 'rejected') t.match(outcome.reason, { name: 'AppendOutcomeUnknown' })
})

t.test('appends that wait for the event store when it dies have an unknown outcome, and nothing worse', async t => {
  const { store, node } = await open(t)
  process.kill(node.pid, 'SIGSTOP')
  const large = 'x'.repeat(100_000)
  const waiting = Array.from({ length: 200 }, (_, n) => store.append(`job-${n}`, [disabled(n, large)], 'none'))
  const outcomes = Promise.allSettled(waiting)
  await new Promise(resolve => setImmediate(resolve))
  await node.kill9()
  for (const outcome of await outcomes)
    t.match(outcome, { status: 'rejected', reason: { name: 'AppendOutcomeUnknown' } })
  await node.restart()
  t.equal((await store.append('job-after', [disabled(1)], 'none')).revision, 0n)
})
