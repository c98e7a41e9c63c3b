import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import t from 'tap'
import { selfSigned } from '../../infra/embedded/event-store/tls/certificate.ts'
import { sha256Hex } from '../../infra/ids.ts'
import { programOrSkip } from '../support/packages.ts'
import { overhearing, rowsOf } from '../support/places.ts'
import { startSshd } from '../support/sshd.ts'
import { startSystem } from '../support/system.ts'
import { clientOf, command, type SystemClient } from '../support/system-client.ts'
import { contentOf, finds } from '../support/traces.ts'

const canary = () => `canary-${randomBytes(12).toString('hex')}-ÄÖ"'\\`

/** A job that runs the other one with the secret it was given itself. */
async function nested({ http }: SystemClient, jobId: string): Promise<string> {
  const outer = randomUUID()
  const given = { jobId, sameTargets: true, parameters: { token: '${{ params.token }}' } }
  const parameters = { token: { type: 'secret', required: true } }
  await http.command('define-job', {
    ...{ jobId: outer, name: 'outer', parameters, steps: [{ id: 'inner', uses: 'job.run', with: given }] },
  })
  return outer
}

t.test('a secret parameter reaches the command that reads it, and no other place', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { url, heard } = await overhearing(t)
  const system = startSystem(t, { env: { OPSCONDUCTOR_NATS_URL: url } })
  const [api, sshd] = await Promise.all([clientOf(system), startSshd(t)])
  const login = await api.credential(sshd.privateKey, sshd.username)
  const targetId = await api.target('web-1', { port: sshd.port, credentialId: login })
  const [first, second] = [canary(), canary()]
  const secretId = randomUUID()
  const holding = (password: string) => ({ credentialId: secretId, secret: { kind: 'password', password } })
  await api.http.command('create-credential', { ...holding(first), name: 'registry', username: 'registry' })
  const jobId = randomUUID()
  const tell = 's=$(cat); printf %s "$s" | sha256sum; echo "as it is: $s"; printf %s "$s" | base64 -w0 >&2'
  await api.http.command('define-job', {
    ...{ jobId, name: 'log in', parameters: { token: { type: 'secret', required: true } } },
    steps: [
      { id: 'before', uses: 'ssh.command', with: { command: 'true' } },
      { id: 'login', uses: 'ssh.command', with: { command: tell, stdin: '${{ params.token }}' } },
    ],
  })
  const trigger = async (of: string = jobId) => {
    const runId = randomUUID()
    const parameters = { token: secretId }
    await api.http.command('trigger-run', { runId, jobId: of, parameters, selection: { targetIds: [targetId] } })
    return runId
  }
  const printedBy = async (runId: string) => {
    let printed = ''
    await api.follow(runId, text => {
      printed += text
    })
    t.match((await api.ended(runId)).run, { status: 'succeeded' })
    return printed
  }

  const runId = await trigger()
  let output = await printedBy(runId)
  t.match(output, sha256Hex(first), 'the command has read it')
  t.match(output, 'as it is: ******')
  await api.http.command('add-credential-version', holding(second))
  const again = await printedBy(await trigger())
  t.match(again, sha256Hex(second), 'the newest version at the time of the claim')
  output += again
  const outer = await trigger(await nested(api, jobId))
  t.equal((await api.ended(outer)).run.status, 'succeeded')
  const below = await api.http.get<{ items: Array<{ runId: string }> }>(`/v1/runs?parent=${outer}`)
  t.match(await printedBy(below.items[0]?.runId ?? ''), sha256Hex(second), 'a job hands it on to another')
  const { items } = await api.http.get<{ items: Array<{ position: string }> }>(
    `/v1/audit?type=CredentialReleased&runId=${runId}`,
  )
  const released = items.map(({ position }) => api.http.get<{ data: object }>(`/v1/audit/${position}`))
  const [forStep, forLogin] = (await Promise.all(released)).map(({ data }) => data)
  t.match(forStep, { credentialId: secretId, version: 1, stepId: 'login' }, 'the log tells what for')
  t.match(forLogin, { credentialId: login })
  await api.http.command('revoke-credential', { credentialId: secretId, reason: 'leaked' })
  await t.rejects(trigger(), /revoked/)

  const { postgresUrl = '' } = system.runtime()
  const places: Record<string, string> = {
    'what the processes print': system.output(),
    'the broker': heard.join('\n'),
    'files of log, database and executor': contentOf(system.dataDir),
    'rows of the database': await rowsOf(postgresUrl),
  }
  for (const [place, content] of Object.entries(places)) {
    t.match(content, /OpsConductor is ready|CredentialReleased|succeed-step/, `${place}: the right one is looked at`)
    for (const secret of [first, second]) t.notOk(finds(content, secret), `${place}: no trace of the secret`)
  }
  for (const secret of [first, second]) t.notOk(finds(output, secret), 'output: no trace of the secret')
})

t.test('a run asks another system in the name of a client certificate', async t => {
  const dir = t.testdir()
  const [keyFile, crtFile, caFile] = ['key', 'crt', 'ca'].map(name => join(dir, name)) as [string, string, string]
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  execFileSync('openssl', [...made, '-subj', '/CN=conductor', '-keyout', keyFile, '-out', crtFile], { stdio: 'pipe' })
  const { key, certificate } = selfSigned('127.0.0.1', new Date())
  writeFileSync(caFile, certificate)
  const seen: string[] = []
  const options = { key, cert: certificate, requestCert: true, ca: readFileSync(crtFile) }
  const server = createServer(options, ({ socket, method, url }, response) => {
    const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().subject.CN : undefined
    seen.push(`${shown} ${method} ${url}`)
    response.end(`hello ${shown}`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // a TCP server's, once it listens
  const env = { NODE_EXTRA_CA_CERTS: caFile, OPSCONDUCTOR_EGRESS_ALLOW: '127.0.0.1' }
  const system = startSystem(t, { env })
  const api = await clientOf(system)
  const store = async (name: string, secret: object) => {
    const credentialId = randomUUID()
    await api.http.command('create-credential', { credentialId, name, username: 'conductor', secret })
    return credentialId
  }
  const token = await store('token', { kind: 'api-token', token: 'ghp_0123456789' })
  const privateKey = readFileSync(keyFile, 'utf8')
  const identity = await store('identity', {
    ...{ kind: 'client-certificate', certificate: readFileSync(crtFile, 'utf8'), privateKey },
  })
  const targetId = await api.target('orchestrator', { port: 1, credentialId: token })
  const jobId = randomUUID()
  const request = {
    method: 'POST',
    url: `https://127.0.0.1:${port}/restart`,
    clientCertificate: '${{ params.identity }}',
  }
  await api.http.command('define-job', {
    ...{ jobId, name: 'restart', parameters: { identity: { type: 'secret', required: true } } },
    steps: [{ id: 'ask', uses: 'http.request', with: request }],
  })
  const trigger = async (of: string) => {
    const runId = randomUUID()
    const selection = { targetIds: [targetId] }
    await api.http.command('trigger-run', { runId, jobId, parameters: { identity: of }, selection })
    return runId
  }
  const runId = await trigger(identity)
  t.match((await api.ended(runId)).run, { status: 'succeeded' })
  t.same(seen, ['conductor POST /restart'])
  const { items } = await api.http.get<{ items: Array<{ position: string }> }>(
    `/v1/audit?type=CredentialReleased&runId=${runId}`,
  )
  const [released] = await Promise.all(
    items.map(({ position }) => api.http.get<{ data: object }>(`/v1/audit/${position}`)),
  )
  t.match(released?.data, { credentialId: identity, stepId: 'ask' })
  // The first line begins like that of every such key.
  const secret = privateKey.split('\n')[2] ?? ''
  t.ok(secret.length >= 40)
  const { postgresUrl = '' } = system.runtime()
  const left = [system.output(), contentOf(system.dataDir), await rowsOf(postgresUrl)].join('\n')
  t.notOk(finds(left, secret), 'no trace of its key')

  await t.rejects(trigger(token), /is of the kind api-token: no use as a client certificate/)
  await t.rejects(
    api.trigger(await api.job([command('true')]), [targetId]),
    /api-token: no use to log in with over SSH/,
  )
})
