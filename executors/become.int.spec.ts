import t from 'tap'
import { sha256Hex } from '../infra/ids.ts'
import { command, pids, startExecutor, step } from '../test/support/executor.ts'
import { isAlive } from '../test/support/process-tree.ts'
import { sudoHostOrSkip, sudoPassword, sudoUser } from '../test/support/sudo-host.ts'

const byRoot = (text: string, more: object = {}, details: object = {}) =>
  step('ssh.command', { command: text, become: { user: 'root' }, ...details }, more)
const everything = `${sudoUser} ALL=(ALL:ALL) ALL`

t.test('by sudo with the password of the login', async t => {
  const host = sudoHostOrSkip(t)
  if (!host) return
  host.sudoers([everything])
  const { plane, run } = await startExecutor(t, {
    sshd: { within: host.within, username: sudoUser, config: ['PasswordAuthentication yes'] },
    secret: { kind: 'password', password: sudoPassword },
  })
  const printed = (of: Parameters<typeof plane.text>[0]) => plane.text(of) + plane.text(of, 'stderr')

  await t.test('a command runs as the other user, and nothing of the dialogue is output', async t => {
    const of = run([byRoot('id -un; echo err >&2; cat')])
    t.match(await plane.report('succeed-step', of), { exitCode: 0 })
    t.equal(plane.text(of), 'root\n')
    t.equal(plane.text(of, 'stderr'), 'err\n')
    const other = run([step('ssh.command', { command: 'id -un; echo $HOME', become: { user: 'nobody' } })])
    await plane.report('succeed-step', other)
    t.match(plane.text(other), /^nobody\n\//)
  })

  await t.test('what it reads is not the password, with which it cannot be tricked out of us either', async t => {
    // The prompt we answer, printed by the command itself, which finds our token in the wrapper's arguments.
    const asks = 'echo "$(tr "\\0" "\\n" </proc/$PPID/cmdline | grep -x "opsc-[0-9a-f]*")-password:" >&2; cat'
    const of = run([byRoot(asks, {}, { stdin: "it's data\n$HOME\n" })])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), "it's data\n$HOME\n")
    t.match(plane.text(of, 'stderr'), /^opsc-[0-9a-f]{24}-password:\n$/)
  })

  await t.test("a secret is read by the command after sudo has read the login's password", async t => {
    const stdinCredentialId = '0192d3c4-5e6f-7a8b-9c0d-00000000000c'
    const secrets = [{ stepId: 'do', credentialId: stdinCredentialId, version: 1 }]
    plane.secret = ({ stepId }) => ({ kind: 'password', password: stepId === 'do' ? 'of the step\n' : sudoPassword })
    const check = 'id -un; cat | sha256sum; cat /proc/[0-9]*/cmdline | grep -ac "of the [s]tep"'
    for (const sudoers of [everything, `${sudoUser} ALL=(ALL:ALL) NOPASSWD: ALL`]) {
      host.sudoers([sudoers])
      const of = run([byRoot(`${check}; true`, { stdinCredentialId })], { secrets })
      await plane.report('succeed-step', of)
      t.equal(plane.text(of), `root\n${sha256Hex('of the step\n')}  -\n0\n`)
      t.notMatch(printed(of), sudoPassword)
    }
    host.sudoers([everything])
    plane.secret = () => ({ kind: 'password', password: sudoPassword })
  })

  await t.test('a script with its arguments, and values in a command', async t => {
    const script = { script: 'id -un; printf "%s|" "$@"', arguments: ["it's", '$(id)'], become: { user: 'root' } }
    const of = run([step('ssh.script', script)])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), "root\nit's|$(id)|")
    const valued = run([byRoot('echo "$opsc_1"; id -un', { variables: { opsc_1: "a'b $(id)" } })])
    await plane.report('succeed-step', valued)
    t.equal(plane.text(valued), "a'b $(id)\nroot\n")
  })

  await t.test('its exit code and signal reach us', async t => {
    t.match(await plane.report('fail-step', run([byRoot('exit 3')])), { class: 'exit-nonzero', exitCode: 3 })
    t.match(await plane.report('fail-step', run([byRoot('no-such-command')])), { class: 'command-not-found' })
  })

  await t.test('it is stopped for good, by sudo', async t => {
    const family = 'sleep 310 & echo $!; trap "" TERM; echo $$; while :; do sleep 0.1; done'
    const of = run([byRoot(family)])
    const found = await pids(plane, of, 2)
    t.ok(found.every(isAlive))
    plane.cancel(of)
    t.match(await plane.report('report-cancelled', of), { termination: 'terminated', detail: /is gone$/ })
    t.notOk(found.some(isAlive))
    const late = run([byRoot('echo $$; exec sleep 311', { timeoutSeconds: 1 })])
    const [pid = 0] = await pids(plane, late, 1)
    t.match(await plane.report('fail-step', late), { class: 'timed-out', termination: 'terminated' })
    t.notOk(isAlive(pid))
  })

  await t.test('a wrong password, and a login that may not', async t => {
    let wrong = true
    plane.secret = () => ({ kind: 'password', password: wrong ? 'wrong password' : sudoPassword })
    const of = run([byRoot('echo never')])
    const failed = await plane.report('fail-step', of)
    t.match(failed, { class: 'auth-failed', detail: /did not take the password/ })
    t.notMatch(printed(of), /never|opsc-[0-9a-f]{24}|wrong password/)
    wrong = false
    host.sudoers([])
    const refused = await plane.report('fail-step', run([byRoot('echo never')]))
    t.match(refused, { class: 'auth-failed', detail: /sudo does not run commands as root for this login/ })
    plane.secret = () => {
      throw new Error('the credential was revoked')
    }
    host.sudoers([everything])
    const revoked = await plane.report('fail-step', run([byRoot('echo never')]))
    t.match(revoked, { class: 'credential-unavailable', detail: /revoked/ })
    plane.secret = () => ({ kind: 'password', password: sudoPassword })
  })

  await t.test('where sudo wants no password none is asked for', async t => {
    host.sudoers([`${sudoUser} ALL=(ALL:ALL) NOPASSWD: ALL`])
    const asked = plane.releases.length
    const of = run([byRoot('id -un; cat', {}, { stdin: 'data' })])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), 'root\ndata')
    t.equal(plane.releases.length, asked)
    host.sudoers([everything])
  })
})

t.test('by sudo with a key', async t => {
  const host = sudoHostOrSkip(t)
  if (!host) return
  host.sudoers([`${sudoUser} ALL=(root) NOPASSWD: ALL`])
  const { plane, run } = await startExecutor(t, { sshd: { within: host.within, username: sudoUser } })
  const of = run([byRoot('id -un'), command('id -un', { id: 'next' })])
  await plane.until(() => plane.reports.filter(m => m.report.type === 'succeed-step').length === 2, 'both')
  t.equal(plane.text(of), `root\n${sudoUser}\n`)
  const stopped = run([byRoot('echo $$; exec sleep 312')])
  const [pid = 0] = await pids(plane, stopped, 1)
  plane.cancelStep(stopped, 'do')
  t.match(await plane.report('fail-step', stopped), { class: 'cancelled', termination: 'terminated' })
  t.notOk(isAlive(pid))
  host.sudoers([everything])
  const failed = await plane.report('fail-step', run([byRoot('id -un')]))
  t.match(failed, { class: 'auth-failed', detail: /without a password, and the credential has none/ })
})
