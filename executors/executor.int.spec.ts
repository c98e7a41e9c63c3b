import { createHash } from 'node:crypto'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { loadConfig } from '../infra/config.ts'
import { runStages } from '../infra/lifecycle.ts'
import type { Assignment } from '../schemas/bus.ts'
import { type Step, stepSchema } from '../schemas/job.ts'
import { startBroker } from '../test/support/broker.ts'
import { assignmentOf, startControlPlane, type TestControlPlane } from '../test/support/control-plane.ts'
import { programOrSkip } from '../test/support/packages.ts'

import { type Sshd, startSshd } from '../test/support/sshd.ts'
import { start } from './main.ts'

const log = pino({ level: process.env.OPSCONDUCTOR_TEST_LOG ?? 'silent' })
const executorId = 'spec-executor'

type Bench = { sshd: Sshd; plane: TestControlPlane; run(steps: Step[], more?: Partial<Assignment>): Assignment }

const command = (text: string, more: object = {}): Step =>
  stepSchema.parse({ id: 'do', uses: 'ssh.command', with: { command: text }, ...more })

async function setUp(t: Test): Promise<Bench> {
  const sshd = await startSshd(t)
  const broker = await startBroker(t)
  const secret = { kind: 'ssh-key' as const, privateKey: sshd.privateKey }
  const plane = await startControlPlane(t, { url: broker.url, executorId, secret })
  const config = loadConfig({
    OPSCONDUCTOR_DATA_DIR: t.testdir(),
    OPSCONDUCTOR_NATS_URL: broker.url,
    OPSCONDUCTOR_EXECUTOR_ID: executorId,
    OPSCONDUCTOR_STOP_SECONDS: '5',
  })
  const role = await start(config, log)
  t.teardown(async () => void (await runStages(role.stop, log)))
  const targetId = '0190a000-0000-7000-8000-000000000001'
  const credentialId = '0190a000-0000-7000-8000-000000000002'
  const credential = { credentialId, version: 1, kind: 'ssh-key' as const, username: sshd.username }
  const target = {
    targetId,
    address: sshd.host,
    port: sshd.port,
    hostKey: { policy: 'pinned' as const, key: sshd.hostKey },
  }
  const run = (steps: Step[], more: Partial<Assignment> = {}) => {
    const assignment = assignmentOf({ target, credential, steps, ...more })
    plane.assign(assignment)
    return assignment
  }
  return { sshd, plane, run }
}

t.test('what a command did is told', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, sshd } = await setUp(t)

  await t.test('success, with its output and both streams', async t => {
    const of = run([command('echo out; echo err >&2; cat; echo done')])
    const done = await plane.report('succeed-step', of)
    const bytes = Buffer.from('out\nerr\ndone\n')
    t.match(done, { stepId: 'do', attempt: 1, exitCode: 0, output: { bytes: bytes.length, truncated: false } })
    t.equal(plane.text(of), 'out\ndone\n', 'standard input is at its end')
    t.equal(plane.text(of, 'stderr'), 'err\n')
    const sorted = plane.chunks.filter(c => c.runId === of.runId).sort((a, b) => a.seq - b.seq)
    t.same(
      sorted.map(c => c.seq),
      sorted.map((_, i) => i + 1),
      'numbered from 1 without gaps',
    )
    const all = Buffer.concat(sorted.map(c => Buffer.from(c.data, 'base64')))
    t.equal(done.output.sha256, createHash('sha256').update(all).digest('hex'))
    t.equal(done.output.chunks, sorted.length)
    const order = plane.reports.filter(m => m.report.data.runId === of.runId).map(m => m.report.type)
    t.same(order, ['start-step', 'succeed-step'])
  })

  await t.test('the second time the connection is warm and no secret is asked for', async t => {
    const asked = plane.releases.length
    await plane.report('succeed-step', run([command('true')]))
    t.equal(plane.releases.length, asked)
    t.equal(sshd.log().match(/Accepted publickey/g)?.length, 1)
  })

  await t.test('exit codes, signals and commands that are not there', async t => {
    t.match(await plane.report('fail-step', run([command('exit 3')])), { class: 'exit-nonzero', exitCode: 3 })
    const missing = await plane.report('fail-step', run([command('no-such-command-here')]))
    t.match(missing, { class: 'command-not-found', exitCode: 127 })
    const killed = await plane.report('fail-step', run([command('kill -SEGV $$')]))
    t.match(killed, { class: 'killed-by-signal', signal: 'SIGSEGV', exitCode: undefined })
  })

  await t.test('a failed step ends the target run unless it may fail', async t => {
    const steps = [
      command('exit 1', { id: 'may-fail', continueOnError: true }),
      command('exit 2', { id: 'must-not' }),
      command('echo never', { id: 'never' }),
    ]
    const of = run(steps)
    await plane.until(() => plane.reports.filter(m => m.report.data.runId === of.runId).length === 4, 'four reports')
    await plane.report('succeed-step', run([command('true')]))
    const told = plane.reports.filter(m => m.report.data.runId === of.runId).map(m => m.report)
    t.match(told, [
      { type: 'start-step', data: { stepId: 'may-fail' } },
      { type: 'fail-step', data: { stepId: 'may-fail', exitCode: 1 } },
      { type: 'start-step', data: { stepId: 'must-not' } },
      { type: 'fail-step', data: { stepId: 'must-not', exitCode: 2 } },
    ])
    t.equal(told.length, 4)
  })

  await t.test('a script gets its arguments as they are and leaves nothing behind', async t => {
    const odd = ["it's", 'a b', '"$(id)"', '`id`', '\\', '*', '-n', '', 'new\nline', '$HOME', 'ü', ';', '&&']
    const script = 'printf "%s|" "$@"; echo; echo "$0" >&2; ls -l "$0" | cut -c1-10 >&2; cat'
    const step = stepSchema.parse({ id: 'do', uses: 'ssh.script', with: { script, arguments: odd } })
    const of = run([step])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), `${odd.join('|')}|\n`)
    const [file, mode] = plane.text(of, 'stderr').split('\n')
    t.equal(mode, '-rwx------')
    const look = run([command(`test -e ${file} && echo there || echo gone; ls -d ${file?.replace(/\/script$/, '')}`)])
    await plane.report('fail-step', look)
    t.match(plane.text(look), /^gone\n/)
  })

  await t.test('a command with odd quoting, a long one, and another interpreter', async t => {
    const of = run([command(`echo 'single' "double" \\$HOME "\`echo sub\`" <<'EOF'\nignored\nEOF\necho "it's"`)])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), `single double $HOME sub\nit's\n`)
    const long = run([
      command(`echo '${"é'".repeat(10_000).replaceAll("'", '')}' | wc -c; : '${"'\\''".repeat(2000)}'`),
    ])
    await plane.report('succeed-step', long)
    t.equal(plane.text(long).trim(), '20001')
    const withParts = { script: 'echo $BASH_VERSION | cut -d. -f1', interpreter: '/bin/bash' }
    const bash = run([stepSchema.parse({ id: 'do', uses: 'ssh.script', with: withParts })])
    await plane.report('succeed-step', bash)
    t.match(plane.text(bash), /^\d\n$/)
  })

  await t.test('8 MB on stderr, then a flood that is cut as declared', async t => {
    const of = run([command('head -c 8000000 /dev/zero | tr "\\0" e >&2; echo end')])
    const done = await plane.report('succeed-step', of)
    t.equal(done.output.bytes, 8_000_004)
    t.equal(plane.text(of, 'stderr').length, 8_000_000)
    t.equal(plane.text(of), 'end\n')
  })

  await t.test('two commands share a connection at the same time', async t => {
    const logins = sshd.log().match(/Accepted publickey/g)?.length
    const first = run([command('while ! [ -e /tmp/opsc-spec-$PPID ]; do sleep 0.05; done; rm /tmp/opsc-spec-$PPID')])
    await plane.report('start-step', first)
    const second = run([command('touch /tmp/opsc-spec-$PPID; echo $PPID')])
    await plane.report('succeed-step', second)
    t.equal(sshd.log().match(/Accepted publickey/g)?.length, logins)
    const pid = plane.text(second).trim()
    const release = run([
      command(`for p in $(ls /tmp | grep opsc-spec); do echo $p; done; touch /tmp/opsc-spec-${pid}`),
    ])
    await plane.report('succeed-step', release)
    await plane.report('succeed-step', first).catch(() => plane.cancel(first))
  })
})
