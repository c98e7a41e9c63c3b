import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { until } from '../../../test/support/process.ts'
import { isAlive } from '../../../test/support/process-tree.ts'
import { Child, type ChildOptions } from './child.ts'

const READY = `require('fs').writeSync(3, JSON.stringify({ ready: true, endpoints: { address: 'here', n: 1 } }) + '\\n')`
const STAY = 'setInterval(() => {}, 1000)'

type Watched = { child: Child; changes: string[]; lines: string[] }

function make(t: Test, program: string, options: Partial<ChildOptions> = {}): Watched {
  const changes: string[] = []
  const lines: string[] = []
  const child = new Child({
    name: 'spec',
    command: [process.execPath, '-e', program],
    environment: () => process.env,
    onLine: line => lines.push(line),
    onChange: what => changes.push(what),
    stopMs: 10_000,
    ...options,
  })
  t.teardown(() => child.stop())
  return { child, changes, lines }
}

t.test('a child is started once it says so, and its output is passed on', async t => {
  const { child, changes, lines } = make(t, `console.log('out'); console.error('err'); ${READY}; ${STAY}`)
  await child.start()
  t.same(child.endpoints, { address: 'here', n: 1 })
  t.same(changes, ['ready'])
  await until('both lines came', () => lines.length === 2)
  t.same(lines.sort(), ['err', 'out'])
  const { pid = 0 } = child
  await child.stop()
  t.notOk(isAlive(pid))
  t.equal(child.pid, undefined)
  t.equal(child.restarts, 0)
})

t.test('a child that ends is started again, later each time', async t => {
  const { child, changes } = make(t, `${READY}; setTimeout(() => process.exit(7), 50)`)
  await child.start()
  await until('it was restarted twice', () => child.restarts >= 2)
  await child.stop()
  const waits = changes.filter(what => what.startsWith('ended with code 7'))
  t.same(waits.slice(0, 2), [
    'ended with code 7; starting again in 200 ms',
    'ended with code 7; starting again in 400 ms',
  ])
})

t.test('a child that never gets ready is given up, with the reason', async t => {
  const ending = make(t, 'process.exit(3)')
  await t.rejects(ending.child.start(), /spec did not start: ended with code 3/)
  const missing = make(t, '', { command: ['/no/such/program'] })
  await t.rejects(missing.child.start(), /spec did not start: could not be started \(.*ENOENT/)
  const babbling = make(t, `require('fs').writeSync(3, 'not JSON\\n'); ${STAY}`)
  await t.rejects(babbling.child.start(), /unexpected readiness line/)
})

t.test('a child that ignores the signal to stop is killed', async t => {
  const { child, changes } = make(t, `process.on('SIGTERM', () => {}); ${READY}; ${STAY}`, { stopMs: 300 })
  await child.start()
  const { pid = 0 } = child
  await child.stop()
  t.notOk(isAlive(pid))
  t.match(changes, ['ready', 'does not stop: killed after 300 ms'])
})

t.test('a child that waits for its next start stays away after stop', async t => {
  const { child, changes } = make(t, `${READY}; setTimeout(() => process.exit(0), 20)`)
  await child.start()
  await until('it is gone', () => changes.some(what => what.includes('starting again')))
  await child.stop()
  t.equal(child.restarts, 0)
  t.equal(child.pid, undefined)
})

t.test('a stop during the start ends the start', async t => {
  const { child, lines } = make(t, `console.log('up'); ${STAY}`)
  const started = child.start()
  started.catch(() => {})
  await until('it runs', () => lines.length > 0)
  await child.stop()
  await t.rejects(started, /spec did not start: killed by SIGTERM/)
})

t.test('a child has a process group of its own, which Ctrl-C in a terminal does not reach', async t => {
  const { child } = make(t, `${READY}; ${STAY}`)
  await child.start()
  t.equal(groupOf(child.pid ?? 0), child.pid)
  t.not(groupOf(process.pid), child.pid)
})

// proc(5): the group is the third field after the name in brackets.
function groupOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[2])
}
