import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import ssh2 from 'ssh2'
import t, { type Test } from 'tap'
import type { UsableSecret } from '../schemas/credential.ts'
import { command, startExecutor } from '../test/support/executor.ts'
import { freePort } from '../test/support/free-port.ts'
import { programOrSkip } from '../test/support/packages.ts'
import { newKeyPair } from './ssh/key-pair.ts'

const newKey = newKeyPair

t.test('what keeps a target from being worked on has its class', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, sshd } = await startExecutor(t, { sshd: { hostKeyTypes: ['ed25519', 'ecdsa', 'rsa'] } })
  const fails = async (more: Parameters<typeof run>[1]) => {
    const of = run([command('true')], more)
    const failed = await plane.report('fail-target-run', of)
    t.notOk(plane.reports.some(m => m.report.type === 'start-step' && m.report.data.runId === of.runId))
    return failed
  }

  await t.test('a name that does not resolve, a refused port, nothing that speaks SSH', async t => {
    t.match(await fails({ target: { address: 'no-such-host.invalid' } }), { class: 'dns', detail: /does not resolve/ })
    t.match(await fails({ target: { port: await freePort() } }), { class: 'refused', detail: /refused/ })
    const port = await otherServer(t, 'HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(3))
    t.match(await fails({ target: { port } }), { class: 'refused' })
    t.equal(plane.releases.length, 0, 'no secret was asked for')
  })

  await t.test('a server that hangs up at first is tried again', async t => {
    let connections = 0
    const server = createServer(socket => {
      connections += 1
      socket.destroy()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    t.match(await fails({ target: { port: portOf(server) } }), { class: 'refused', detail: /before the login/ })
    t.equal(connections, 4)
  })

  await t.test('host keys', async t => {
    const [ed25519 = '', ecdsa = '', rsa = ''] = sshd.hostKeys
    const other = newKey().public.split(' ').slice(0, 2).join(' ')
    const asked = plane.releases.length
    const changed = await fails({ target: { hostKey: { policy: 'pinned', key: other } } })
    t.match(changed, { class: 'host-key-mismatch', detail: /presented ssh-ed25519 SHA256:.{43}; expected ssh-ed25519/ })
    const unknown = await fails({ target: { hostKey: { policy: 'pinned' } } })
    t.match(unknown, { class: 'host-key-unknown' })
    t.equal(plane.releases.length, asked, 'no secret was asked for')
    const told = plane.reports.map(m => m.report).find(r => r.type === 'report-host-key-mismatch')
    t.match(told, { data: { presented: ed25519 } })
    for (const key of [ecdsa, rsa]) {
      await plane.report('succeed-step', run([command('true')], { target: { hostKey: { policy: 'pinned', key } } }))
    }
    t.equal(
      plane.reports.filter(m => m.report.type === 'report-host-key-mismatch').length,
      1,
      'each of its keys will do',
    )
  })

  await t.test('first use is recorded before the secret is asked for', async t => {
    const targetId = '0190a000-0000-7000-8000-0000000000a1'
    const first = run([command('true')], { target: { targetId, hostKey: { policy: 'first-use' } } })
    await plane.report('succeed-step', first)
    const order = plane.reports.filter(m => m.report.data.runId === first.runId).map(m => m.report)
    t.match(order, [
      { type: 'observe-host-key', data: { targetId, hostKey: sshd.hostKey } },
      { type: 'start-step' },
      { type: 'succeed-step' },
    ])
  })

  await t.test('first use that is not recorded, or of a key that another was before', async t => {
    const asked = plane.releases.length
    const hostKey = { policy: 'first-use' as const }
    const refuse = (code: string) => {
      plane.answer = m => (m.report.type === 'observe-host-key' ? { status: 'refused', code, detail: 'no' } : undefined)
    }
    refuse('host-key-mismatch')
    const late = await fails({ target: { targetId: '0190a000-0000-7000-8000-0000000000a2', hostKey } })
    t.match(late, { class: 'host-key-mismatch' })
    refuse('conflict')
    const not = await fails({ target: { targetId: '0190a000-0000-7000-8000-0000000000a3', hostKey } })
    t.match(not, { class: 'host-key-unknown', detail: /not recorded: no/ })
    t.equal(plane.releases.length, asked)
    plane.answer = () => undefined
  })

  await t.test('a changed key ends the trust in an open connection too', async t => {
    const targetId = '0190a000-0000-7000-8000-0000000000a4'
    await plane.report('succeed-step', run([command('true')], { target: { targetId } }))
    const key = newKey().public.split(' ').slice(0, 2).join(' ')
    const failed = await fails({ target: { targetId, hostKey: { policy: 'pinned', key } } })
    t.match(failed, { class: 'host-key-mismatch' })
  })

  await t.test('logins', async t => {
    const credential = (version: number) => ({
      ...{ credentialId: '0190a000-0000-7000-8000-0000000000c1', version },
      ...{ kind: 'ssh-key' as const, username: sshd.username },
    })
    plane.secret = () => ({ kind: 'ssh-key', privateKey: newKey().private })
    t.match(await fails({ credential: credential(1) }), { class: 'auth-failed', detail: /not let in/ })
    plane.secret = () => ({ kind: 'ssh-key', privateKey: 'this is no private key, whatever else it may be' })
    const unreadable = await fails({ credential: credential(2) })
    t.match(unreadable, { class: 'auth-failed', detail: /cannot be read/ })
    t.notMatch(JSON.stringify(unreadable), /whatever else/)
    plane.secret = () => {
      throw new Error('the credential was revoked')
    }
    const revoked = await fails({ credential: credential(3) })
    t.match(revoked, { class: 'credential-unavailable', detail: /revoked/ })
    plane.secret = () => ({ kind: 'ssh-key', privateKey: sshd.privateKey })
  })

  await t.test('a permission that is refused or stale stops the target run without a word', async t => {
    for (const status of ['refused', 'stale'] as const) {
      plane.answer = m => (m.report.type === 'start-step' ? { status, code: 'step-already-started' } : undefined)
      const file = `${t.testdir()}/effect`
      const of = run([command(`touch ${file}`)])
      await plane.report('start-step', of)
      await plane.until(() => !(plane.heartbeats.at(-1)?.active ?? []).some(a => a.runId === of.runId), 'let go')
      t.equal(plane.reports.filter(m => m.report.data.runId === of.runId).length, 1)
    }
    plane.answer = m => (m.report.type === 'start-step' ? { status: 'refused', code: 'run-finished' } : undefined)
    const cancelled = run([command('true')])
    t.match(await plane.report('report-cancelled', cancelled), { termination: 'not-started' })
    plane.answer = () => undefined
  })
})

t.test('passwords, plainly and as an answer to a question', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const password = "pass'word with blanks"
  const { plane, run } = await startExecutor(t, { secret: { kind: 'password', password } })
  for (const method of ['password', 'keyboard-interactive'] as const) {
    const { port, hostKey } = await passwordServer(t, method, password)
    const target = { targetId: `0190a000-0000-7000-8000-0000000000b${method.length % 10}`, port }
    const credential = { credentialId: '0190a000-0000-7000-8000-0000000000c2', version: 1, kind: 'password' as const }
    const more = {
      target: { ...target, hostKey: { policy: 'pinned' as const, key: hostKey } },
      credential: { ...credential, username: 'demo' },
    }
    const of = run([command(`echo ${password.slice(0, 4)}`)], more)
    await plane.report('succeed-step', of)
    plane.secret = (): UsableSecret => ({ kind: 'password', password: 'wrong' })
    const wrong = run([command('true')], { ...more, credential: { ...more.credential, version: 2 } })
    t.match(await plane.report('fail-target-run', wrong), { class: 'auth-failed' }, method)
    plane.secret = () => ({ kind: 'password', password })
  }
})

t.test('a key with a passphrase', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, sshd } = await startExecutor(t)
  const passphrase = 'open sesame'
  execFileSync('ssh-keygen', ['-p', '-q', '-P', '', '-N', passphrase, '-f', sshd.privateKeyFile])
  const privateKey = readFileSync(sshd.privateKeyFile, 'utf8')
  plane.secret = () => ({ kind: 'ssh-key', privateKey, passphrase: 'wrong' })
  t.match(await plane.report('fail-target-run', run([command('true')])), { class: 'auth-failed' })
  plane.secret = () => ({ kind: 'ssh-key', privateKey, passphrase })
  const of = run([command(`echo ${passphrase}`)])
  await plane.report('succeed-step', of)
  t.equal(plane.text(of), '******\n')
})

// A TCP server's address is always an AddressInfo once it listens.
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port

async function otherServer(t: Test, greeting: string): Promise<number> {
  const server = createServer(socket => socket.on('error', () => undefined).end(greeting)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return portOf(server)
}

/** Lets in with one password by one method, and pretends that every command went well. */
async function passwordServer(t: Test, method: 'password' | 'keyboard-interactive', password: string) {
  const host = newKey()
  const server = new ssh2.Server({ hostKeys: [host.private] }, client => {
    client.on('error', () => undefined)
    client.on('authentication', context => {
      if (context.method !== method) context.reject([method])
      else if (context.method === 'password') {
        if (context.password === password) context.accept()
        else context.reject([method])
      } else if (context.method === 'keyboard-interactive') {
        context.prompt([{ prompt: 'Password: ', echo: false }], ([answer]) =>
          answer === password ? context.accept() : context.reject([method]),
        )
      }
    })
    client.on('session', accept => {
      accept().on('exec', (acceptExec, _reject, { command: line }) => {
        const channel = acceptExec()
        const token = /opsc-[0-9a-f]{24}/.exec(line)?.[0]
        channel.write(`${token} pgid=0 pid=1\n`)
        channel.exit(0)
        channel.end()
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { port: portOf(server), hostKey: host.public.split(' ').slice(0, 2).join(' ') }
}
