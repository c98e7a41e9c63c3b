import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import path from 'node:path'
import t from 'tap'
import { command, pids, startExecutor, step } from '../test/support/executor.ts'
import { programOrSkip } from '../test/support/packages.ts'
import { isAlive } from '../test/support/process-tree.ts'

const aFamily = 'sleep 300 & echo $!; sh -c "sleep 301 & echo \\$!; wait" & echo $$; wait'

t.test('what is stopped is really gone', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, sshd } = await startExecutor(t)

  await t.test('a timeout ends the whole process group', async t => {
    const of = run([command(aFamily, { timeoutSeconds: 1 })])
    const family = await pids(plane, of, 3)
    t.ok(family.every(isAlive))
    const failed = await plane.report('fail-step', of)
    t.match(failed, {
      class: 'timed-out',
      detail: /^stopped after 1 s: process group \d+ is gone$/,
      exitCode: undefined,
    })
    t.notOk(family.some(isAlive))
  })

  await t.test('a cancelled command takes its children along', async t => {
    const of = run([command(aFamily), command('echo never', { id: 'next' })])
    const family = await pids(plane, of, 3)
    plane.cancel(of)
    const told = await plane.report('report-cancelled', of)
    t.match(told, { termination: 'terminated', stepId: 'do', attempt: 1, output: { truncated: false } })
    t.notOk(family.some(isAlive))
    t.notOk(plane.reports.some(m => m.report.type === 'start-step' && m.report.data.stepId === 'next'))
  })

  await t.test('KILL follows where TERM is ignored, and the script goes too', async t => {
    const script = 'trap "" TERM; echo $$; echo "$0" >&2; while :; do sleep 0.1; done'
    const of = run([step('ssh.script', { script })])
    const family = await pids(plane, of, 1)
    await plane.until(() => plane.text(of, 'stderr') !== '', 'the name of the script')
    const file = plane.text(of, 'stderr').trim()
    t.ok(existsSync(file))
    const since = performance.now()
    plane.cancel(of)
    t.match(await plane.report('report-cancelled', of), { termination: 'terminated' })
    t.ok(performance.now() - since > 4_500, 'after the grace')
    t.notOk(family.some(isAlive))
    t.notOk(existsSync(path.dirname(file)))
  })

  await t.test('what made a session of its own is not hidden', async t => {
    const of = run([command('setsid sh -c "echo \\$\\$; exec sleep 302" & sleep 303')])
    const [escaped = 0] = await pids(plane, of, 1)
    plane.cancel(of)
    t.match(await plane.report('report-cancelled', of), { detail: /process group \d+ is gone/ })
    t.ok(isAlive(escaped), 'it escapes, as the manual says')
    process.kill(escaped, 'SIGKILL')
  })

  await t.test('a heartbeat can cancel as well', async t => {
    const of = run([command('sleep 304')])
    await plane.report('start-step', of)
    plane.onHeartbeat = () => ({ cancel: [{ runId: of.runId, n: of.n, epoch: of.epoch }], forget: [] })
    t.match(await plane.report('report-cancelled', of), { termination: 'terminated' })
    plane.onHeartbeat = undefined
  })

  await t.test('cancelled before it began', async t => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    t.teardown(() => silent.close())
    // A TCP server's address is always an AddressInfo once it listens.
    const { port } = silent.address() as AddressInfo
    const of = run([command('echo never')], { target: { port } })
    await plane.until(() => (plane.heartbeats.at(-1)?.active ?? []).some(a => a.runId === of.runId), 'being worked on')
    plane.cancel(of)
    t.match(await plane.report('report-cancelled', of), { termination: 'not-started', stepId: undefined })
  })

  await t.test('a background process that keeps its output open does not hold the step', async t => {
    const of = run([command('sleep 305 & echo $!')])
    const [left = 0] = await pids(plane, of, 1)
    t.match(await plane.report('succeed-step', of), { exitCode: 0 })
    t.ok(isAlive(left))
    process.kill(left, 'SIGKILL')
  })

  await t.test('when the session dies the outcome is unknown, and the next step connects anew', async t => {
    const of = run([command('echo $$; exec sleep 306')])
    const [pid = 0] = await pids(plane, of, 1)
    sshd.killSessions()
    t.match(await plane.report('report-step-lost', of), { why: 'connection-lost', stepId: 'do', attempt: 1 })
    if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    await plane.report('succeed-step', run([command('true')]))
  })

  await t.test('a lost connection is opened again to stop what ran on it', async t => {
    const of = run([command('trap "" HUP PIPE; echo $$; while :; do sleep 0.1; done')])
    const family = await pids(plane, of, 1)
    const stuck = sshd.pauseSessions()
    plane.cancel(of)
    t.match(await plane.report('report-cancelled', of), { termination: 'terminated' })
    t.notOk(family.some(isAlive))
    stuck.resume()
  })
})

t.test('without a control plane nothing new begins and nothing is forgotten', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, broker } = await startExecutor(t, { env: { OPSCONDUCTOR_LEASE_SECONDS: '2' } })

  await t.test('a running command goes on while the broker is away, and its outcome comes later', async t => {
    const file = path.join(t.testdir(), 'go')
    const of = run([command(`until [ -e ${file} ]; do sleep 0.05; done; echo late`)], { leaseSeconds: 2 })
    await plane.report('start-step', of)
    const before = plane.pulls
    await broker.restart()
    await plane.until(() => plane.pulls > before, 'it asks for work again')
    writeFileSync(file, '')
    await plane.report('succeed-step', of)
    await plane.until(() => plane.text(of) === 'late\n', 'its output')
  })

  await t.test('a step whose permission does not come is given back, not begun', async t => {
    const file = path.join(t.testdir(), 'effect')
    plane.answersHeartbeats = false
    plane.answer = m => (m.report.type === 'start-step' ? 'silence' : undefined)
    const of = run([command(`touch ${file}`)], { leaseSeconds: 2 })
    t.match(await plane.report('hand-back-target-run', of), { detail: /did not answer/ })
    t.notOk(existsSync(file))
    plane.answer = m => {
      if (m.report.type === 'start-step') return 'silence'
      if (m.report.type === 'hand-back-target-run') return { status: 'refused', code: 'step-already-started' }
      return undefined
    }
    const recorded = run([command(`touch ${file}`)], { leaseSeconds: 2 })
    t.match(await plane.report('fail-step', recorded), { class: 'lost-before-start', output: { bytes: 0 } })
    t.notOk(existsSync(file))
    plane.answersHeartbeats = true
    plane.answer = () => undefined
  })

  await t.test('outcomes are sent until somebody takes them, once each', async t => {
    let silent = 1
    plane.answer = m => (m.report.type === 'succeed-step' && silent-- > 0 ? 'silence' : undefined)
    const of = run([command('true')], { leaseSeconds: 2 })
    await plane.report('succeed-step', of)
    t.ok(silent < 0)
    plane.answer = () => undefined
  })
})

t.test('a control plane that begins anew is asked and told again at once', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t, { env: { OPSCONDUCTOR_LEASE_SECONDS: '60' } })
  plane.standing = { session: 'first', asking: 'yes' }
  plane.hello()
  await plane.until(
    () => plane.pulls === 1 && plane.heartbeats.length >= 2,
    'a question, and a heartbeat for the hello',
  )

  await t.test('a report that was on its way', async t => {
    const told: string[] = []
    plane.answer = m => {
      if (m.report.type !== 'succeed-step') return undefined
      told.push(m.reportId)
      return told.length === 1 ? 'silence' : undefined
    }
    const of = run([command('true')])
    await plane.until(() => told.length === 1, 'it is told')
    const since = performance.now()
    plane.standing = { session: 'second', asking: 'yes' }
    plane.hello()
    await plane.report('succeed-step', of)
    t.ok(performance.now() - since < 3_000, 'long before it would have lost patience')
    t.equal(told[0], told[1], 'the same report')
    plane.answer = () => undefined
  })

  await t.test('a question that is not known any more', async t => {
    const [pulls, since] = [plane.pulls, performance.now()]
    plane.standing = { session: 'second', asking: 'no' }
    // Only one that is older than a moment is missed: so it is told so more than once.
    const telling = setInterval(() => plane.hello(), 100)
    await plane.until(() => plane.pulls > pulls, 'it asks again')
    clearInterval(telling)
    t.ok(performance.now() - since < 3_000)
    plane.standing = { session: 'second', asking: 'yes' }
    await plane.report('succeed-step', run([command('true')]))
  })
})
