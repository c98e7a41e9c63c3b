import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { command, type ExecutorBench, pids, startExecutor } from '../test/support/executor.ts'
import { programOrSkip } from '../test/support/packages.ts'

t.test('an orderly stop lets what runs end and gives the rest back', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, stop } = await startExecutor(t)
  const of = run([command('echo began; sleep 1; echo done'), command('echo never', { id: 'next' })])
  const long = run([command('echo $$; exec sleep 307')])
  const [pid = 0] = await pids(plane, long, 1)
  await plane.until(() => plane.text(of) !== '', 'its beginning')
  await stop()
  t.match(await plane.report('succeed-step', of), { exitCode: 0 })
  t.match(await plane.report('hand-back-target-run', of), { detail: /stopping/ })
  t.match(await plane.report('report-step-lost', long), { why: 'executor-restarted' })
  t.equal(plane.text(of), 'began\ndone\n')
  process.kill(pid, 'SIGKILL')
})

t.test('killed at any moment, a restart says what it knows', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const bench = await startExecutor(t, { started: false })
  const { plane, run, env } = bench
  const entry = new URL('../opsconductor.js', import.meta.url).pathname

  await t.test('a step that ran is lost, one that did not start is given back', async t => {
    const first = await launch(t, entry, bench)
    const file = path.join(t.testdir(), 'effects')
    const running = run([command(`echo effect >>${file}; echo $$; exec sleep 308`)])
    const [pid = 0] = await pids(plane, running, 1)
    plane.answer = m => (m.report.type === 'start-step' ? 'silence' : undefined)
    const waiting = run([command(`echo effect >>${file}`)])
    await plane.until(() => (plane.heartbeats.at(-1)?.active ?? []).some(a => a.runId === waiting.runId), 'held')
    await kill9(first)
    plane.answer = () => undefined
    await launch(t, entry, bench)
    t.match(await plane.report('report-step-lost', running), { why: 'executor-restarted', stepId: 'do', attempt: 1 })
    t.match(await plane.report('hand-back-target-run', waiting), { detail: /restarted/ })
    t.equal(readFileSync(file, 'utf8'), 'effect\n')
    process.kill(pid, 'SIGKILL')
  })

  await t.test('outcome and output that were not taken are sent again, with the same id', async t => {
    const second = await launch(t, entry, bench)
    const seen = new Set<string>()
    plane.storesOutput = false
    plane.answer = m => {
      if (m.report.type === 'succeed-step') seen.add(m.reportId)
      return m.report.type === 'succeed-step' ? 'silence' : undefined
    }
    const of = run([command('echo kept')])
    await plane.until(() => seen.size > 0, 'the outcome')
    await kill9(second)
    plane.storesOutput = true
    plane.answer = () => undefined
    const third = await launch(t, entry, bench)
    await plane.report('succeed-step', of)
    await plane.until(() => plane.text(of) === 'kept\n', 'its output')
    await plane.report('hand-back-target-run', of)
    const told = plane.reports.filter(m => m.report.data.runId === of.runId)
    // Whether more steps were to come is not known here: what is over already refuses to be handed back.
    t.same(
      told.map(m => m.report.type),
      ['start-step', 'succeed-step', 'hand-back-target-run'],
    )
    t.ok(seen.has(told[1]?.reportId ?? ''))
    third.kill('SIGTERM')
    t.same(await once(third, 'exit'), [0, null])
  })

  await t.test('a folder belongs to one process', async t => {
    await launch(t, entry, bench)
    const other = spawn(process.execPath, [entry, 'executor'], { env: { ...process.env, ...env }, stdio: 'ignore' })
    t.same(await once(other, 'exit'), [1, null])
  })
})

async function launch(t: Test, entry: string, { env, plane }: ExecutorBench): Promise<ChildProcess> {
  const before = plane.pulls
  const child = spawn(process.execPath, [entry, 'executor'], {
    env: { ...process.env, ...env, OPSCONDUCTOR_READY_FD: '3' },
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  })
  t.teardown(() => kill9(child))
  const ready = child.stdio[3]
  if (!ready) throw new Error('no pipe')
  await Promise.race([once(ready, 'data'), once(child, 'exit').then(() => Promise.reject(new Error('it ended')))])
  await plane.until(() => plane.pulls > before, 'it asks for work')
  return child
}

async function kill9(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
