import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { programOrSkip } from '../support/packages.ts'
import { overhearing, rowsOf } from '../support/places.ts'
import { until } from '../support/process.ts'
import { descendants } from '../support/process-tree.ts'
import { startSshd } from '../support/sshd.ts'
import { startSystem } from '../support/system.ts'
import { clientOf, command, type SystemClient } from '../support/system-client.ts'
import { contentOf, finds } from '../support/traces.ts'

const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))
const canary = () => `canary-${randomBytes(16).toString('hex')}`

/** Sends what no client of ours would. */
const raw = (url: string, path: string, init: RequestInit) =>
  fetch(new URL(path, url), { method: 'POST', ...init, signal: AbortSignal.timeout(20_000) }).then(async answer => ({
    status: answer.status,
    text: await answer.text(),
  }))

/** Every way to be refused with the secret in hand; answers what the API said. */
async function refused(url: string, key: string, credentialId: string, secret: string): Promise<string> {
  const json = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const named = (material: object) => JSON.stringify({ name: 'refused', username: 'x', secret: material })
  const bodies = [
    named({ kind: 'password', password: `${secret}\0` }),
    named({ kind: 'password', password: secret, extra: secret }),
    named({ kind: secret, password: secret }),
    named({ kind: 'ssh-key', privateKey: secret.padEnd(64, 'x') }),
    named({ kind: 'ssh-key', privateKey: `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----` }),
    named({ kind: 'api-token', token: `${secret} ${secret}` }),
    named({ kind: 'windows-password', password: secret.repeat(20) }),
    named({ kind: 'client-certificate', certificate: secret.repeat(2), privateKey: secret.padEnd(64) }),
    named({ kind: 'ssh-certificate', caKey: secret.padEnd(64), passphrase: secret }),
    named({ kind: 'external', of: 'password', path: secret }),
    `{"name":"refused","secret":"${secret}`,
    JSON.stringify([secret]),
    JSON.stringify({
      name: 'late',
      username: 'x',
      expiresAt: '2020-01-01T00:00:00Z',
      secret: { kind: 'generic', value: secret },
    }),
  ]
  const asked = bodies.map(body => raw(url, '/v1/commands/create-credential', { headers: json, body }))
  const version = (id: string) => JSON.stringify({ credentialId: id, secret: { kind: 'password', password: secret } })
  const post = (path: string, headers: Record<string, string>, body = version(credentialId)) =>
    asked.push(raw(url, path, { headers, body }))
  const add = '/v1/commands/add-credential-version'
  post(add, json, version(randomUUID()))
  post(add, { ...json, authorization: 'Bearer opsc_wrong' })
  post(add, { ...json, 'content-type': 'text/plain' })
  post(add, { ...json, 'if-match': '"99"' })
  post(add, { ...json, prefer: 'wait=x', 'idempotency-key': 'x'.repeat(500) })
  post('/v1/commands/no-such-command', json)
  post(
    '/v1/commands',
    { ...json, 'content-type': 'application/x-ndjson' },
    `${JSON.stringify({ type: 'x', data: secret })}\n`,
  )
  const answers = await Promise.all(asked)
  for (const { status } of answers) if (status < 200 || status >= 500) throw new Error(`answered with ${status}`)
  return answers.map(({ text }) => text).join('\n')
}

/** Runs that read the secret: one prints it, one fails with it, one is cancelled while it has it. */
async function runs(api: SystemClient, targetId: string, secretId: string): Promise<string> {
  let printed = ''
  const withSecret = async (id: string, text: string) => {
    const jobId = randomUUID()
    const parameters = { token: { type: 'secret', required: true } }
    const steps = [{ ...command(text, id), with: { command: text, stdin: '${{ params.token }}' } }]
    await api.http.command('define-job', { jobId, name: id, parameters, steps })
    const runId = randomUUID()
    await api.http.command('trigger-run', {
      ...{ runId, jobId, parameters: { token: secretId }, selection: { targetIds: [targetId] } },
    })
    return runId
  }
  const listen = (runId: string) =>
    api.follow(runId, text => {
      printed += text
    })
  await listen(await withSecret('prints', 's=$(cat); echo "it is $s"; echo "$s" | base64 -w0 >&2'))
  await listen(await withSecret('fails', 's=$(cat); echo "$s" >&2; exit 3'))
  const cancelled = await withSecret('cancelled', 's=$(cat); echo "begun $s"; sleep 60')
  const following = listen(cancelled)
  await until('it has begun', () => printed.includes('begun'))
  await api.http.command('cancel-run', { runId: cancelled, reason: 'spec' })
  await following
  return printed
}

/** Arguments and environments of the system's processes. */
const processesOf = (pid: number): string =>
  [pid, ...descendants(pid)]
    .flatMap(each => ['cmdline', 'environ'].map(file => join('/proc', `${each}`, file)))
    .map(file => readFileSync(file, 'latin1').replaceAll('\0', ' '))
    .join('\n')

t.test('a secret leaves no trace outside the vault, whatever is done with it', { timeout: 280_000 }, async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const folder = mkdtempSync(join(tmpdir(), 'opsc-canary-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [temporary, dumps] = [join(folder, 'tmp'), join(folder, 'dumps')]
  for (const each of [temporary, dumps]) mkdirSync(each, { mode: 0o777 })
  const { url, heard } = await overhearing(t)
  const system = startSystem(t, {
    env: {
      ...{ OPSCONDUCTOR_NATS_URL: url, OPSCONDUCTOR_LOG_LEVEL: 'debug', TMPDIR: temporary },
      NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${dumps}`,
    },
  })
  const [api, sshd] = await Promise.all([clientOf(system), startSshd(t)])
  const login = await api.credential(sshd.privateKey, sshd.username)
  const targetId = await api.target('web-1', { port: sshd.port, credentialId: login })
  const secrets = [canary(), canary(), canary()]
  const [first = '', second = '', unfit = ''] = secrets
  const secretId = randomUUID()
  const holding = (password: string) => ({ credentialId: secretId, secret: { kind: 'password', password } })
  await api.http.command('create-credential', { ...holding(first), name: 'canary-holder', username: 'canary-holder' })
  const printed = [await runs(api, targetId, secretId)]
  await api.http.command('add-credential-version', holding(second))
  const key = /opsc_[\w-]{20,}/.exec(system.output())?.[0] ?? ''
  const answers = await refused(system.runtime().url ?? '', key, secretId, unfit)

  const tool = (...args: string[]) =>
    new Promise<string>((resolve, reject) =>
      execFile(
        process.execPath,
        [ENTRY, 'vault', ...args],
        { env: { PATH: process.env.PATH, OPSCONDUCTOR_DATA_DIR: system.dataDir }, timeout: 60_000 },
        (err, stdout, stderr) => (err ? reject(new Error(`${err.message} ${stderr}`)) : resolve(`${stdout}${stderr}`)),
      ),
    )
  const rotated = JSON.parse(await tool('rotate-kek', '--reason', 'spec', '--json'))
  const isActive = { kekId: rotated.kekId, active: true, held: true }
  let status = ''
  await until(
    'the vault has gone over to the new key',
    async () => {
      status = await tool('status', '--json')
      const [active, old] = JSON.parse(status)
      return active.wraps.credential >= 3 && Object.keys(old.wraps).length === 0
    },
    60_000,
  )
  t.match(JSON.parse(status), [isActive, { kekId: rotated.from, active: false, held: true, wraps: {} }])
  t.match(await tool('status'), new RegExp(`${rotated.kekId} {2}active {2}.*credential \\d`))
  await t.rejects(tool('destroy-kek', rotated.from), /less than a minute ago/)
  printed.push(await runs(api, targetId, secretId))
  t.match(printed.join(''), /begun \*\*\*\*\*\*/)

  const { roles } = system.runtime()
  const apiPid = roles.api?.pid ?? 0
  process.kill(apiPid, 'SIGUSR2')
  const snapshots = () => readdirSync(dumps).filter(name => name.endsWith('.heapsnapshot'))
  await until('the heap is written out', () => snapshots().length > 0, 60_000)
  // The process writes it before it does anything else.
  await api.http.get('/v1/credentials')

  const uses = await api.http.get<{ targets: object[]; jobs: object[]; releases: object[] }>(
    `/v1/credentials/${login}/uses`,
  )
  t.match(uses, { targets: [{ targetId, name: 'web-1' }] })
  const holder = await api.http.get<{ releases: object[] }>(`/v1/credentials/${secretId}/uses`)
  t.equal(holder.releases.length, 6, 'and the log tells of every release')

  const { postgresUrl = '' } = system.runtime()
  const rows = await rowsOf(postgresUrl)
  const places: Record<string, [string, string | RegExp]> = {
    'what the processes print': [system.output(), /postgres +debug/],
    'what the API answers': [answers, /invalid-input/],
    'the broker': [heard.join('\n'), 'succeed-step'],
    'files of log, database and executor': [contentOf(system.dataDir), 'CredentialReleased'],
    'a dump of the database': [rows, 'CredentialReleased'],
    'temporary files': [`${contentOf(temporary)}${temporary}`, temporary],
    'arguments and environments': [processesOf(system.child.pid ?? 0), 'OPSCONDUCTOR_DATA_DIR'],
    'the heap of the API': [contentOf(dumps), 'canary-holder'],
    'output of runs': [printed.join(''), 'begun'],
  }
  for (const [place, [content, proof]] of Object.entries(places)) {
    t.match(content, proof, `${place}: the right one is looked at`)
    for (const [i, secret] of secrets.entries())
      t.notOk(finds(content, secret), `${place}: no trace of secret ${i + 1}`)
  }
})
