import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { command, startExecutor } from '../test/support/executor.ts'
import { programOrSkip } from '../test/support/packages.ts'

t.test('output that nobody stores and there is no room for is told as a gap', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t, { env: { OPSCONDUCTOR_SPOOL_MB: '1' } })
  plane.storesOutput = false
  const of = run([command('head -c 3000000 /dev/zero | tr "\\0" x')])
  const done = await plane.report('succeed-step', of)
  t.match(done, { exitCode: 0, output: { truncated: true } })
  t.ok(done.output.bytes < 1_000_000)
  const gap = await plane.report('report-output-gap', of)
  t.match(gap, { stepId: 'do', attempt: 1, detail: /no room/ })
  t.ok(gap.from > 1 && gap.to > gap.from)
  const order = plane.reports.filter(m => m.report.data.runId === of.runId).map(m => m.report.type)
  // A chunk that is small enough may still fit between two that are not.
  t.same([...new Set(order)], ['start-step', 'report-output-gap', 'succeed-step'])
  plane.storesOutput = true
  await plane.until(() => plane.text(of).length === done.output.bytes, 'all that was kept')
})

t.test('on a full disk nothing begins; when there is room again it goes on', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  if (!mayMount()) return t.plan(0, 'needs root and mount namespaces')
  const { plane, run, env } = await startExecutor(t, { started: false })
  const place = t.testdir()
  const folder = path.join(place, 'small')
  mkdirSync(folder)
  const child = launch(folder, { ...env, OPSCONDUCTOR_EXECUTOR_DIR: folder })
  t.teardown(() => end(child))
  await plane.until(() => plane.pulls > 0, 'it asks for work')
  await plane.report('succeed-step', run([command('true')]))
  // The mount is seen only from inside: through the process that lives in it.
  const inside = path.join(`/proc/${child.pid}/root`, folder)
  fill(path.join(inside, 'filler'))

  const effects = path.join(place, 'effects')
  const touch = () => run([command(`echo effect >>${effects}`)])
  const beats = (count: number) => {
    const until = plane.heartbeats.length + count
    return plane.until(() => plane.heartbeats.length >= until, 'it lives')
  }
  const isOver = (of: { runId: string }) =>
    plane.reports.some(m => m.report.type === 'succeed-step' && m.report.data.runId === of.runId)
  // What is left of the last page of a file can be written to all the same.
  const before: Array<ReturnType<typeof touch>> = []
  for (let last = touch(); ; last = touch()) {
    before.push(last)
    await Promise.race([plane.report('succeed-step', last), plane.report('start-step', last).then(() => beats(5))])
    if (!isOver(last)) break
  }
  const done = existsSync(effects) ? readFileSync(effects, 'utf8') : ''
  const later = touch()
  await plane.report('start-step', later)
  await beats(3)
  t.equal(existsSync(effects) ? readFileSync(effects, 'utf8') : '', done, 'without a durable note nothing begins')

  rmSync(path.join(inside, 'filler'))
  for (const of of [...before, later]) await plane.report('succeed-step', of)
  t.equal(readFileSync(effects, 'utf8'), 'effect\n'.repeat(before.length + 1), 'each once')
})

function launch(folder: string, env: Record<string, string>): ChildProcess {
  const entry = new URL('../opsconductor.js', import.meta.url).pathname
  const script = 'mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"'
  const inner = ['/bin/sh', '-c', script, 'sh', folder, process.execPath, '--no-warnings', entry, 'executor']
  return spawn('unshare', ['--mount', '--propagation', 'private', ...inner], {
    ...{ env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] },
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

function fill(file: string): void {
  try {
    for (;;) writeFileSync(file, Buffer.alloc(4096), { flag: 'a' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

function mayMount(): boolean {
  if (process.getuid?.() !== 0) return false
  try {
    execFileSync('unshare', ['--mount', '--propagation', 'private', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}
