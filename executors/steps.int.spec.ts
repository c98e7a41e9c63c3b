import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcp } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { sha256Hex } from '../infra/ids.ts'
import type { Assignment, ReleaseRequest } from '../schemas/bus.ts'
import type { RenderedStep } from '../schemas/steps/index.ts'
import { command, pids, startExecutor, step } from '../test/support/executor.ts'
import { freePort } from '../test/support/free-port.ts'
import { programOrSkip } from '../test/support/packages.ts'
import { isAlive } from '../test/support/process-tree.ts'

const nowhere = { target: { port: 1 } }

t.test('steps that need no target', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t, { env: { OPSCONDUCTOR_EGRESS_ALLOW: '127.0.0.1' } })
  const seen: Array<{ method: string; url: string; body: string; headers: IncomingMessage['headers'] }> = []
  const origin = await serve(t, async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    seen.push({ method: request.method ?? '', url: request.url ?? '', body, headers: request.headers })
    if (request.url === '/hang') return
    if (request.url === '/cut') return void request.socket.destroy()
    if (request.url === '/moved') return void response.writeHead(302, { location: '/json' }).end()
    response.writeHead(request.url === '/503' ? 503 : 200).end('{"state":"up","n":[1,2]}')
  })
  const http = (details: object, more: object = {}) =>
    step('http.request', { method: 'GET', followRedirects: 0, maxBytes: 1_000, ...details }, more)

  await t.test('nothing is connected to', async t => {
    const of = run([step('noop', {}), step('wait.time', { seconds: 0.05 }, { id: 'wait' })], nowhere)
    await plane.until(() => plane.reports.filter(m => m.report.type === 'succeed-step').length === 2, 'both')
    t.same(
      plane.reports.filter(m => m.report.data.runId === of.runId).map(m => m.report.type),
      ['start-step', 'succeed-step', 'start-step', 'succeed-step'],
    )
    t.equal(plane.releases.length, 0)
  })

  await t.test('an answer is output, its status and what was asked for are outputs', async t => {
    const outputs = { second: { as: 'json', pointer: '/n/1' }, state: { as: 'regex', pattern: '"state":"(\\w+)"' } }
    const wanted = { url: `${origin}/json`, method: 'POST', body: 'ü', headers: { 'X-Own': 'yes' } }
    const expect = { status: [200], json: { '/state': 'up', '/n/0': 1 } }
    const of = run([http({ ...wanted, expect }, { outputs })], nowhere)
    const done = await plane.report('succeed-step', of)
    t.same(done.outputs, { status: 200, second: 2, state: 'up' })
    t.equal(plane.text(of), '{"state":"up","n":[1,2]}')
    t.match(seen.at(-1), {
      method: 'POST',
      url: '/json',
      body: 'ü',
      headers: { 'x-own': 'yes', 'content-length': '2' },
    })
  })

  await t.test('what is not expected is a failure, without the answer in it', async t => {
    const fails = async (details: object) => await plane.report('fail-step', run([http(details)], nowhere))
    const url = `${origin}/json`
    t.match(await fails({ url: `${origin}/503` }), { class: 'unexpected-answer', detail: /is 503, expected 2xx/ })
    t.match(await fails({ url, expect: { status: [204, 205] } }), { detail: /is 200, expected 204 or 205/ })
    const wrong = await fails({ url, expect: { json: { '/state': 'down' } } })
    t.match(wrong, { class: 'unexpected-answer', detail: 'what is at /state is not "down"' })
    t.match(await fails({ url: `${origin}/moved` }), { detail: /is 302/ })
    t.match(await fails({ url, maxBytes: 10 }), { class: 'unexpected-answer', detail: /longer than 10 bytes/ })
    t.match(await fails({ url: 'http://10.0.0.1/' }), { class: 'policy-denied' })
    t.match(await fails({ url: `http://127.0.0.1:${await freePort()}/` }), { class: 'refused' })
    t.match(await fails({ url: 'http://no-such-host.invalid/' }), { class: 'dns' })
  })

  await t.test('a change that got no answer may have been made', async t => {
    t.match(await plane.report('fail-step', run([http({ url: `${origin}/cut` })], nowhere)), { class: 'unreachable' })
    const lost = run([http({ url: `${origin}/cut`, method: 'POST' })], nowhere)
    t.match(await plane.report('report-step-lost', lost), { why: 'connection-lost' })
    const late = run([http({ url: `${origin}/hang`, method: 'PUT' }, { timeoutSeconds: 1 })], nowhere)
    t.match(await plane.report('fail-step', late), { class: 'timed-out', termination: 'unconfirmed' })
    const stopped = run([http({ url: `${origin}/hang` })], nowhere)
    await plane.until(() => seen.filter(({ url }) => url === '/hang').length === 2, 'the request')
    plane.cancel(stopped)
    t.match(await plane.report('report-cancelled', stopped), { termination: 'terminated' })
  })

  await t.test('waiting for a port and for an answer', async t => {
    const port = await freePort()
    const probe = { kind: 'tcp', port }
    const of = run([step('wait.until', { probe, intervalSeconds: 0.1 })], { target: { address: '127.0.0.1', port: 1 } })
    await plane.until(() => plane.text(of).includes('refused'), 'a first no')
    const server = createTcp().listen(port, '127.0.0.1')
    t.teardown(() => server.close())
    await plane.report('succeed-step', of)
    t.match(plane.text(of), /^not yet: 127\.0\.0\.1 port \d+ refused the connection\n$/, 'once for each reason')
    const asked = { probe: { kind: 'http', url: `${origin}/503` }, intervalSeconds: 0.1 }
    const never = run([step('wait.until', asked, { timeoutSeconds: 1 })], nowhere)
    const failed = await plane.report('fail-step', never)
    t.match(failed, { class: 'timed-out', detail: /stopped after 1 s: not yet: the status is 503/ })
    const other = { probe: { kind: 'http', url: `${origin}/503`, status: 503 }, intervalSeconds: 0.1 }
    await plane.report('succeed-step', run([step('wait.until', other)], nowhere))
    const denied = { probe: { kind: 'http', url: 'http://169.254.169.254/' }, intervalSeconds: 0.1 }
    t.match(await plane.report('fail-step', run([step('wait.until', denied)], nowhere)), { class: 'policy-denied' })
  })
})

/** A command that reads a secret and looks for it wherever it must not be. */
const spying = `s=$(cat); h=$(printf %s "$s" | sha256sum | cut -d' ' -f1); echo "sha256 $h"; echo "bytes \${#s}"
p="[c]\${s#?}"
echo "arguments $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -ac -e "$p")"
echo "environment $(cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -ac -e "$p")"
echo "files $(grep -rlaF -e "$s" "\${TMPDIR:-/tmp}"/opsc.* 2>/dev/null | wc -l)"
echo "plain $s base64 $(printf %s "$s" | base64 -w0)"`

t.test('what a command is told, and what is kept of what it prints', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, sshd } = await startExecutor(t)
  const login = { kind: 'ssh-key' as const, privateKey: sshd.privateKey }
  const token = `canary ${randomBytes(18).toString('hex')}!`
  const stdinCredentialId = '0192d3c4-5e6f-7a8b-9c0d-00000000000c'
  const held = { credentialId: stdinCredentialId, version: 3 }
  const withToken = (password: string) => (request: ReleaseRequest) =>
    request.stepId === undefined ? login : { kind: 'password' as const, password }
  plane.secret = withToken(token)
  /** The steps that the vault was asked for on behalf of a target run. */
  const asked = ({ runId }: Assignment) =>
    plane.releases.flatMap(request => (request.runId === runId && request.stepId !== undefined ? [request.stepId] : []))

  await t.test('values are data, whatever they hold', async t => {
    const odd = ["it's", '"$(id)"', '`id`', '\\', '*', '', 'new\nline', '$HOME', ';', "'\\''", 'ü']
    const variables = Object.fromEntries(odd.map((value, i) => [`opsc_${i + 1}`, value]))
    const words = odd.map((_, i) => `"\${opsc_${i + 1}}"`).join(' ')
    const of = run([command(`printf '%s|' ${words}; env | grep -c opsc_; true`, { variables })])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), `${odd.join('|')}|0\n`)
    const long = { opsc_1: 'x'.repeat(200_000) }
    // Too long for the safety checks to judge to its end: somebody has said that it is meant.
    const safety = { targets: 1, confirmed: ['too-large'] }
    const large = run([command('printf %s "$opsc_1" | wc -c', { variables: long })], { safety })
    await plane.report('succeed-step', large)
    t.equal(plane.text(large).trim(), '200000')
  })

  await t.test('standard input is as it was given', async t => {
    const stdin = "a 'b' $(id)\n\\n`id`"
    const of = run([step('ssh.command', { command: 'cat; echo "|$opsc_1"', stdin }, { variables: { opsc_1: 'v' } })])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), `${stdin}|v\n`)
    const leftover = run([step('ssh.command', { command: 'ls -d "${0%/*}"; cat >/dev/null', stdin })])
    await plane.report('succeed-step', leftover)
    t.match(plane.text(leftover), /opsc\./)
    t.notOk(existsSync(plane.text(leftover).trim()), 'it is gone afterwards')
  })

  await t.test('a secret goes to standard input, and nothing else of it is seen anywhere', async t => {
    const of = run([command(spying, { stdinCredentialId })], { secrets: [{ stepId: 'do', ...held }] })
    const done = await plane.report('succeed-step', of)
    t.match(plane.text(of), new RegExp(`^sha256 ${sha256Hex(token)}\nbytes 44\narguments 0\nenvironment 0\nfiles 0\n`))
    t.match(plane.text(of), /^plain \*{6} base64 \*{6}\S{0,3}$/m)
    t.same(asked(of), ['do'], 'once, and for the step')
    t.equal(done.exitCode, 0)
  })

  await t.test('many lines, blanks and line ends arrive as they are; a command need not read them', async t => {
    for (const secret of ['a\n\n b\t\n\n', '\'"\\$x`id`%s%n\\n', '-n', 'ü€𝄞', 'x'.repeat(4_096)]) {
      plane.secret = withToken(secret)
      const of = run([command('sha256sum', { stdinCredentialId })], { secrets: [{ stepId: 'do', ...held }] })
      await plane.report('succeed-step', of)
      t.match(plane.text(of), sha256Hex(secret), JSON.stringify(secret.slice(0, 20)))
    }
    const unread = run([command('exit 7', { stdinCredentialId })], { secrets: [{ stepId: 'do', ...held }] })
    t.match(await plane.report('fail-step', unread), { class: 'exit-nonzero', exitCode: 7 })
    t.equal(plane.text(unread, 'stderr'), '')
    plane.secret = withToken('a\0b')
    const odd = run([command('cat', { stdinCredentialId })], { secrets: [{ stepId: 'do', ...held }] })
    t.match(await plane.report('fail-step', odd), { class: 'invalid-template', detail: /NUL/ })
    plane.secret = withToken(token)
  })

  await t.test('without its secret a step does not run', async t => {
    const unnamed = run([command('echo ran', { stdinCredentialId })])
    t.match(await plane.report('fail-step', unnamed), { class: 'credential-unavailable', detail: /was not run/ })
    plane.secret = request => {
      if (request.stepId !== undefined) throw new Error('the credential is revoked')
      return login
    }
    const refused = run([command('echo ran', { stdinCredentialId })], { secrets: [{ stepId: 'do', ...held }] })
    t.match(await plane.report('fail-step', refused), { class: 'credential-unavailable', detail: /is revoked/ })
    t.equal(plane.text(unnamed) + plane.text(refused), '')
    plane.secret = withToken(token)
    plane.answer = ({ report }) =>
      report.type === 'start-step' && report.data.stepId === 'never' ? { status: 'refused' } : undefined
    const never = run([command('cat', { id: 'never', stdinCredentialId })], { secrets: [{ stepId: 'never', ...held }] })
    await plane.until(() => plane.pulls > 0 && plane.reports.some(m => m.report.data.runId === never.runId), 'a start')
    await plane.report('succeed-step', run([command('true')]))
    t.same(asked(never), [], 'nor is it asked for before the step may start')
    plane.answer = () => undefined
  })

  await t.test('a command that was stopped half way, and one that is too long', async t => {
    const of = run([command('cat >/dev/null; echo $$; exec sleep 330', { stdinCredentialId })], {
      secrets: [{ stepId: 'do', ...held }],
    })
    const [pid = 0] = await pids(plane, of, 1)
    plane.cancel(of)
    t.match(await plane.report('report-cancelled', of), { termination: 'terminated' })
    t.notOk(isAlive(pid))
    const safety = { targets: 1, confirmed: ['too-large'] }
    const more = { stdinCredentialId, variables: { opsc_1: 'x'.repeat(130_000) } }
    const long = run([command('cat', more)], { safety, secrets: [{ stepId: 'do', ...held }] })
    t.match(await plane.report('fail-step', long), { class: 'invalid-template', detail: /too long/ })
  })

  await t.test('outputs', async t => {
    const outputs = {
      all: { as: 'text' },
      id: { as: 'regex', pattern: 'id=(\\d+)' },
      line: { as: 'regex', pattern: '(?m)^second.*$' },
    }
    const of = run([command('echo id=17; echo second line; echo err >&2', { outputs })])
    const done = await plane.report('succeed-step', of)
    t.same(done.outputs, { all: 'id=17\nsecond line', id: '17', line: 'second line' })
    const json = { whole: { as: 'json' }, part: { as: 'json', pointer: '/a~1b/0' } }
    const parsed = await plane.report('succeed-step', run([command(`echo '{"a/b":[null]}'`, { outputs: json })]))
    t.same(parsed.outputs, { whole: { 'a/b': [null] }, part: null })
    const [, secret = ''] = sshd.privateKey.split('\n')
    const masked = await plane.report(
      'succeed-step',
      run([command(`echo '${secret}'`, { outputs: { all: { as: 'text' } } })]),
    )
    t.same(masked.outputs, { all: '******' })
  })

  await t.test('what is not there is a failure', async t => {
    const fails = async (text: string, spec: object) => {
      const failed = await plane.report('fail-step', run([command(text, { outputs: { value: spec } })]))
      t.match(failed, { class: 'output-not-found', exitCode: 0 })
      return failed.detail
    }
    t.equal(await fails('echo x', { as: 'json' }), 'output value: standard output is not JSON')
    t.equal(await fails('echo {}', { as: 'json', pointer: '/a' }), 'output value: there is nothing at /a')
    t.equal(await fails('echo x', { as: 'regex', pattern: 'y' }), 'output value: the pattern matches nothing')
    t.match(await fails('echo b', { as: 'regex', pattern: '(a)?b' }), /first group/)
    t.match(await fails('head -c 9000 /dev/zero | tr "\\0" x', { as: 'text' }), /longer than 8 KiB/)
    const early = 'head -c 1100000 /dev/zero | tr "\\0" "\\n"; echo found'
    t.match(await fails(early, { as: 'regex', pattern: 'found' }), /matches nothing/, 'only the first MiB is searched')
    const failed = run([command('echo x; exit 3', { outputs: { value: { as: 'json' } } })])
    t.match(await plane.report('fail-step', failed), { class: 'exit-nonzero' }, 'its own failure counts first')
  })
})

t.test('one step is stopped', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t)

  await t.test('by request, and the next one goes on where that may be', async t => {
    const steps = [command('echo $$; exec sleep 320', { continueOnError: true }), command('echo next', { id: 'next' })]
    const of = run(steps)
    const [pid = 0] = await pids(plane, of, 1)
    plane.cancelStep(of, 'next')
    plane.cancelStep(of, 'do')
    const failed = await plane.report('fail-step', of)
    t.match(failed, { class: 'cancelled', stepId: 'do', termination: 'terminated', detail: /^stopped by request: / })
    t.notOk(isAlive(pid))
    t.match(await plane.report('succeed-step', of), { stepId: 'next' })
  })

  await t.test('by word of a heartbeat', async t => {
    const of = run([command('exec sleep 321')])
    await plane.report('start-step', of)
    const { runId, n, epoch } = of
    plane.onHeartbeat = () => ({ cancel: [], forget: [], cancelSteps: [{ runId, n, epoch, stepId: 'do' }] })
    t.match(await plane.report('fail-step', of), { class: 'cancelled' })
    plane.onHeartbeat = undefined
  })

  await t.test('after silence, not before', async t => {
    const talks = run([command('for i in 1 2 3 4; do echo $i; sleep 0.5; done', { silenceSeconds: 1 })])
    await plane.report('succeed-step', talks)
    const silent = run([command('echo $$; exec sleep 322', { silenceSeconds: 1 })])
    const [pid = 0] = await pids(plane, silent, 1)
    const failed = await plane.report('fail-step', silent)
    t.match(failed, { class: 'timed-out', detail: /^stopped after 1 s without output: process group \d+ is gone$/ })
    t.notOk(isAlive(pid))
  })

  await t.test('a login gets as long as the job says', async t => {
    const silent = createTcp().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    t.teardown(() => silent.close())
    const of = run([command('true')], { target: { port: portOf(silent) }, connectSeconds: 1 })
    t.match(await plane.report('fail-target-run', of), { class: 'unreachable', detail: /within 1 s/ })
  })

  await t.test('a command is probed until it says yes', async t => {
    const file = path.join(t.testdir(), 'up')
    const probe = { kind: 'command', command: 'test -e "$opsc_1"' }
    const of = run([step('wait.until', { probe, intervalSeconds: 0.1 }, { variables: { opsc_1: file } })])
    await plane.until(() => plane.text(of).includes('exit code 1'), 'a first no')
    writeFileSync(file, '')
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), 'not yet: exit code 1\n')
    const mismatch = { hostKey: { policy: 'pinned' as const, key: 'ssh-ed25519 AAAA' } }
    const wrong = run([step('wait.until', { probe, intervalSeconds: 0.1 })], { target: mismatch })
    t.match(await plane.report('fail-step', wrong), { class: 'host-key-mismatch' }, 'does not go away by itself')
  })
})

t.test('a step of unknown outcome is asked about first', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t)
  const steps = [command('echo again'), command('echo after', { id: 'after' })]
  const told = (of: { runId: string }) =>
    plane.reports
      .filter(m => m.report.data.runId === of.runId)
      .map(({ report: { type, data } }) => {
        return 'stepId' in data ? `${type} ${data.stepId}` : type
      })
  const letGo = (of: { runId: string }) =>
    plane.until(() => !(plane.heartbeats.at(-1)?.active ?? []).some(a => a.runId === of.runId), 'let go')
  const verify = (check: string) => ({ verify: { stepId: 'do', attempt: 1, check }, attempts: { do: 2 } })

  await t.test('it happened: the rest is done', async t => {
    const verified = { stepId: 'do', attempt: 1, check: 'test "$opsc_1" = yes', variables: { opsc_1: 'yes' } }
    const of = run(steps, { verify: verified })
    t.match(await plane.report('succeed-step', of), { stepId: 'after' })
    t.match(await plane.report('report-check', of), { verdict: 'happened', attempt: 1, detail: 'exit code 0' })
    t.same(told(of), ['report-check do', 'start-step after', 'succeed-step after'])
    t.equal(plane.text(of), 'after\n')
  })

  await t.test('it did not: a new attempt is started', async t => {
    const of = run(steps.slice(0, 1), verify('exit 1'))
    t.match(await plane.report('succeed-step', of), { stepId: 'do', attempt: 2 })
    t.match(await plane.report('report-check', of), { verdict: 'did-not-happen', attempt: 1 })
  })

  await t.test('nobody knows: nothing more is done', async t => {
    const of = run(steps, verify('exit 2'))
    t.match(await plane.report('report-check', of), { verdict: 'unclear', detail: 'exit code 2' })
    await letGo(of)
    t.same(told(of), ['report-check do'])
    const away = run(steps, { ...verify('true'), target: { port: 1 } })
    t.match(await plane.report('report-check', away), { verdict: 'unclear', detail: /refused/ })
    plane.answer = m => (m.report.type === 'report-check' ? { status: 'stale' } : undefined)
    const stale = run(steps, verify('true'))
    await plane.report('report-check', stale)
    await letGo(stale)
    t.same(told(stale), ['report-check do'])
    plane.answer = () => undefined
  })

  await t.test('cancelled meanwhile', async t => {
    const of = run(steps, verify('exec sleep 323'))
    await plane.until(() => (plane.heartbeats.at(-1)?.active ?? []).some(a => a.runId === of.runId), 'being worked on')
    plane.cancel(of)
    t.match(await plane.report('report-cancelled', of), { termination: 'not-started' })
    t.same(told(of), ['report-cancelled'])
  })
})

t.test('what the safety checks speak against is not begun', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t)
  const folder = t.testdir({ kept: '' })
  const kept = path.join(folder, 'kept')
  // Harmless here, and what stands in it is judged all the same.
  const wipe = (text: string) => command(`rm ${kept}; false && ${text}`)
  const production = { environment: 'production', targets: 1, confirmed: [] as string[] }
  const refused = async (step: RenderedStep, safety: Assignment['safety'], detail: RegExp) => {
    t.match(await plane.report('fail-step', run([step], { safety })), { class: 'policy-denied', detail })
    t.ok(existsSync(kept), 'nothing was done')
  }
  const anywhere = { targets: 1, confirmed: ['drop-database'] }
  await refused(wipe('rm -rf --no-preserve-root /'), anywhere, /refuse it: delete-system-root: /)
  await refused(wipe('dropdb shop'), { targets: 1, confirmed: [] }, /want it confirmed.*: drop-database: /)
  await refused(wipe('dropdb shop; reboot'), anywhere, /want it confirmed.*: power: /)
  await refused(wipe('dropdb shop'), { ...production, confirmed: ['drop-database'] }, /refuse it: drop-database: /)
  const script = { script: `rm ${kept}\nfalse && rm -rf "$1"\n`, interpreter: '/bin/sh', arguments: ['/etc'] }
  await refused(step('ssh.script', script), anywhere, /delete-system-root/)
  const values = command(`rm ${kept}; false && rm -rf "\${opsc_1}"`, { variables: { opsc_1: '/etc' } })
  await refused(values, anywhere, /delete-system-root/)
  const probe = { probe: { kind: 'command', command: `rm ${kept}; false && rm -rf /etc` } }
  await refused(step('wait.until', probe), anywhere, /delete-system-root/)
  const verify = { stepId: 'do', attempt: 1, check: `rm ${kept}; false && reboot` }
  const check = run([command('true')], { verify })
  t.match(await plane.report('report-check', check), { verdict: 'unclear', detail: /power/ })
  t.ok(existsSync(kept))
  await plane.report('succeed-step', run([command(`rm ${kept}; true || dropdb shop`)], { safety: anywhere }))
  t.notOk(existsSync(kept), 'what was confirmed is done')
})

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

async function serve(t: Test, handler: Handler): Promise<string> {
  const server = createHttp((request, response) => void handler(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${portOf(server)}`
}

// A TCP server's address is always an AddressInfo once it listens.
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port
