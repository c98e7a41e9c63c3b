import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { selfSigned } from '../infra/embedded/event-store/tls/certificate.ts'
import type { UsableSecret } from '../schemas/credential.ts'
import { type ExecutorBench, startExecutor, step } from '../test/support/executor.ts'
import { programOrSkip } from '../test/support/packages.ts'

const clientCertificateId = '0192d3c4-5e6f-7a8b-9c0d-00000000000c'
const secrets = [{ stepId: 'do', credentialId: clientCertificateId, version: 1 }]
type Certificate = Extract<UsableSecret, { kind: 'client-certificate' }>

/** A certificate that clients show, its key under a passphrase where one is given. */
function clientCertificate(dir: string, name: string, passphrase?: string): Certificate {
  const [key, crt] = [join(dir, `${name}.key`), join(dir, `${name}.crt`)]
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days', '2']
  const sealed = passphrase === undefined ? ['-nodes'] : ['-passout', `pass:${passphrase}`]
  execFileSync('openssl', [...made, ...sealed, '-subj', `/CN=${name}`, '-keyout', key, '-out', crt], { stdio: 'pipe' })
  const [privateKey, certificate] = [readFileSync(key, 'utf8'), readFileSync(crt, 'utf8')]
  return { kind: 'client-certificate', certificate, privateKey, ...(passphrase !== undefined && { passphrase }) }
}

t.test('a request shows its certificate to the server that asks for one, and to no other', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const dir = t.testdir()
  const { key, certificate: cert } = selfSigned('127.0.0.1', new Date())
  const known = clientCertificate(dir, 'known')
  const locked = clientCertificate(dir, 'locked', 'correct horse')
  const strange = clientCertificate(dir, 'strange')
  const seen: Array<{ at: string; path: string; shown: string | undefined }> = []
  const tell = (at: string) => (request: IncomingMessage) => {
    const { socket, url = '' } = request
    const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().subject?.CN : undefined
    seen.push({ at, path: url, shown: [shown ?? []].flat()[0] })
    return shown
  }
  const open = await serve(t, { key, cert, requestCert: true, rejectUnauthorized: false }, tell('open'))
  const trusted = [known.certificate, locked.certificate]
  const strict = await serve(t, { key, cert, requestCert: true, ca: trusted }, tell('strict'), {
    '/elsewhere': `${open}/moved`,
    '/stays': '/here',
  })
  const bench = await startExecutor(t, { started: false, env: { OPSCONDUCTOR_EGRESS_ALLOW: '127.0.0.1' } })
  const { plane, run } = bench
  writeFileSync(join(dir, 'ca.pem'), cert)
  await launch(t, bench, { NODE_EXTRA_CA_CERTS: join(dir, 'ca.pem') })
  const http = (url: string, more: object = {}) =>
    step('http.request', { method: 'GET', url, maxBytes: 1_000, ...more }, { clientCertificateId })
  const nowhere = { target: { port: 1 }, secrets }
  const show = (secret: UsableSecret) => {
    plane.secret = () => secret
    seen.length = 0
  }

  await t.test('the server knows who asks; the vault is asked once the step has been started', async t => {
    for (const [name, secret] of [
      ['known', known],
      ['locked', locked],
    ] as const) {
      show(secret)
      const of = run([http(`${strict}/a`)], nowhere)
      await plane.report('succeed-step', of)
      t.equal(plane.text(of), `hello ${name}`)
      t.same(seen, [{ at: 'strict', path: '/a', shown: name }])
      const asked = plane.releases.filter(({ runId }) => runId === of.runId)
      t.match(asked, [{ stepId: 'do', credentialId: clientCertificateId, version: 1 }])
    }
    plane.answer = ({ report }) => (report.type === 'start-step' ? { status: 'refused' } : undefined)
    const never = run([http(`${strict}/never`)], nowhere)
    await plane.until(() => plane.reports.some(m => m.report.data.runId === never.runId), 'its start')
    plane.answer = () => undefined
    await plane.report('succeed-step', run([http(`${strict}/b`)], nowhere))
    t.notOk(plane.releases.some(({ runId }) => runId === never.runId))
    t.notOk(seen.some(({ path }) => path === '/never'))
  })

  await t.test('without the right one nothing is said there', async t => {
    show(strange)
    const { class: refused } = await plane.report('fail-step', run([http(`${strict}/c`)], nowhere))
    t.equal(refused, 'unreachable')
    const bare = step('http.request', { method: 'GET', url: `${strict}/d`, maxBytes: 1_000 })
    t.match(await plane.report('fail-step', run([bare], { target: { port: 1 } })), { class: 'unreachable' })
    t.same(seen, [])
  })

  await t.test('it follows to the same server, and is shown to no other', async t => {
    show(known)
    await plane.report('succeed-step', run([http(`${strict}/stays`, { followRedirects: 1 })], nowhere))
    t.match(seen, [{ shown: 'known' }, { at: 'strict', path: '/here', shown: 'known' }])
    show(known)
    await plane.report('succeed-step', run([http(`${strict}/elsewhere`, { followRedirects: 1 })], nowhere))
    t.same(seen, [
      { at: 'strict', path: '/elsewhere', shown: 'known' },
      { at: 'open', path: '/moved', shown: undefined },
    ])
    show(known)
    const plain = run([http(`${strict.replace('https', 'http')}/e`)], nowhere)
    t.match(await plane.report('fail-step', plain), { class: 'policy-denied', detail: /over https only/ })
    t.same(seen, [])
  })

  await t.test('what is no certificate, or does not open, is a credential that cannot be had', async t => {
    const failure = async (secret: UsableSecret) => {
      show(secret)
      return await plane.report('fail-step', run([http(`${strict}/f`)], nowhere))
    }
    const unavailable = { class: 'credential-unavailable' }
    t.match(await failure({ kind: 'password', password: 'x' }), unavailable)
    const wrong = await failure({ ...locked, passphrase: 'wrong horse' })
    t.match(wrong, { ...unavailable, detail: 'the client certificate and its key cannot be used' })
    t.match(await failure({ ...known, privateKey: strange.privateKey }), unavailable)
    t.match(await plane.report('fail-step', run([http(`${strict}/g`)], { target: { port: 1 } })), unavailable)
    t.same(seen, [])
  })
})

async function serve(
  t: Test,
  options: ServerOptions,
  tell: (request: IncomingMessage) => string | string[] | undefined,
  moved: Readonly<Record<string, string>> = {},
): Promise<string> {
  const server = createServer(options, (request, response) => {
    const shown = tell(request)
    const location = moved[request.url ?? '']
    if (location !== undefined) response.writeHead(302, { location })
    response.end(`hello ${shown}`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // A TCP server's, once it listens.
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A process of its own: which authorities are trusted is settled when it starts. */
async function launch(t: Test, { env, plane }: ExecutorBench, more: Record<string, string>): Promise<void> {
  const entry = new URL('../opsconductor.js', import.meta.url).pathname
  const child = spawn(process.execPath, [entry, 'executor'], {
    env: { ...process.env, ...env, ...more },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.teardown(() => ended(child))
  await plane.until(() => plane.pulls > 0, 'it asks for work')
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
