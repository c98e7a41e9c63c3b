import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { UsableSecret } from '../../schemas/credential.ts'
import { programOrSkip } from '../../test/support/packages.ts'
import { startSshd } from '../../test/support/sshd.ts'
import { newAuthorityKey, openAuthority, publicLine, type SshAuthority } from '../../vault/ssh/authority.ts'
import { makeLogin } from '../../vault/ssh/certificate.ts'
import { Limit } from '../limit.ts'
import { connectSsh } from './connection.ts'

const dir = mkdtempSync(join(tmpdir(), 'opsc-ca-'))
t.teardown(() => rmSync(dir, { recursive: true }))

const pemOf = (key: ReturnType<typeof generateKeyPairSync>['privateKey'], passphrase?: string) =>
  String(
    key.export({
      type: 'pkcs8',
      format: 'pem',
      ...(passphrase !== undefined && { cipher: 'aes-256-cbc', passphrase }),
    }),
  )
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey

function fromKeygen(): string {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ca', '-f', join(dir, 'ca')])
  return readFileSync(join(dir, 'ca'), 'utf8')
}

const authorityOf = (caKey: string, more: Partial<SshAuthority> = {}): SshAuthority => ({
  ...{ kind: 'ssh-certificate', caKey, validSeconds: 300 },
  ...more,
})
const trustLine = ({ caKey = '', passphrase }: SshAuthority) => {
  const key = openAuthority(caKey, passphrase)
  if (!key) throw new Error('not an authority')
  return publicLine(key)
}

t.test('a certificate of the vault logs in to a server that trusts its authority, and to no other', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const authorities: Record<string, SshAuthority> = {
    'made by the vault': authorityOf(newAuthorityKey()),
    'from ssh-keygen': authorityOf(fromKeygen()),
    'ECDSA P-256': authorityOf(pemOf(ec('P-256'))),
    'ECDSA P-384, with a passphrase': authorityOf(pemOf(ec('P-384'), 'open sesame'), { passphrase: 'open sesame' }),
    'ECDSA P-521': authorityOf(pemOf(ec('P-521'))),
    RSA: authorityOf(pemOf(generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey)),
  }
  const trusted = join(dir, 'trusted')
  writeFileSync(trusted, `${Object.values(authorities).map(trustLine).join('\n')}\n`)
  const config = [`TrustedUserCAKeys ${trusted}`, 'AuthorizedKeysFile none', 'LogLevel VERBOSE']
  const sshd = await startSshd(t, { config })
  const now = new Date().toISOString()
  const keyId = 'opsconductor run=0192d3c4.0 epoch=1 executor=anna'
  const of = { username: sshd.username, keyId, now }
  const made = (authority: SshAuthority, change: Partial<typeof of> = {}) => {
    const login = makeLogin(authority, { ...of, ...change })
    if (!login) throw new Error('no certificate')
    return login
  }
  const connect = (secret: UsableSecret) =>
    connectSsh({
      ...{ address: sshd.host, port: sshd.port, username: sshd.username, knownHostKey: sshd.hostKey },
      handshakes: new Limit(1),
      verifyHostKey: async () => undefined,
      secret: async () => secret,
      signal: AbortSignal.timeout(20_000),
    })

  for (const [what, authority] of Object.entries(authorities)) {
    const { login, facts } = made(authority)
    const connection = await connect(login)
    const said = await connection.exec('echo let in', async channel => {
      const parts: Buffer[] = []
      for await (const part of channel) parts.push(part)
      return Buffer.concat(parts).toString()
    })
    t.equal(await said, 'let in\n', what)
    connection.end()
    await connection.closed
    t.match(
      sshd.log(),
      new RegExp(`ID ${keyId} \\(serial ${facts.serial}\\)`),
      `${what}: the server knows which run it was`,
    )
  }

  const [good = authorityOf('')] = Object.values(authorities)
  const refused = async (what: string, secret: UsableSecret) =>
    t.rejects(connect(secret), { name: 'SshFailure', class: 'auth-failed' }, what)
  const longAgo = new Date(Date.now() - 3_600_000).toISOString()
  await refused('an expired one', made(good, { now: longAgo }).login)
  await refused('one that is not yet valid', made(good, { now: new Date(Date.now() + 3_600_000).toISOString() }).login)
  await refused('for another user', made({ ...good, principals: ['somebody-else'] }).login)
  await refused('of an authority that it does not trust', made(authorityOf(newAuthorityKey())).login)
  const mine = made(good).login
  await refused('with the key of another', { ...mine, privateKey: made(good).login.privateKey })
  const changed = Buffer.from(mine.certificate, 'base64')
  changed.writeUInt8(changed.readUInt8(120) ^ 1, 120)
  await refused('changed since', { ...mine, certificate: changed.toString('base64') })
  await (await connect(mine)).end()

  const { login, facts } = made({ ...good, principals: ['deploy', 'root'], validSeconds: 60 })
  writeFileSync(join(dir, 'id-cert.pub'), `ssh-ed25519-cert-v01@openssh.com ${login.certificate}\n`)
  const shown = execFileSync('ssh-keygen', ['-L', '-f', join(dir, 'id-cert.pub')], { env: { TZ: 'UTC' } }).toString()
  t.match(shown, /Type: ssh-ed25519-cert-v01@openssh.com user certificate/)
  t.match(shown, new RegExp(`Key ID: "${keyId}"`))
  t.match(shown, /Principals:\s+deploy\s+root\s/)
  t.match(shown, /Critical Options: \(none\)\s+Extensions: \(none\)/, 'no forwarding, no terminal')
  t.match(shown, `to ${facts.validBefore.slice(0, 19)}`)
  t.equal(Date.parse(facts.validBefore), Math.floor(Date.parse(now) / 1000) * 1000 + 60_000)
})

t.test('other kinds of secrets do not log in', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const sshd = await startSshd(t)
  const connecting = connectSsh({
    ...{ address: sshd.host, port: sshd.port, username: sshd.username, knownHostKey: sshd.hostKey },
    handshakes: new Limit(1),
    verifyHostKey: async () => undefined,
    secret: async () => ({ kind: 'api-token', token: 'secret-token' }),
    signal: AbortSignal.timeout(20_000),
  })
  await t.rejects(connecting, { class: 'credential-unavailable', message: /api-token does not log in/ })
})
