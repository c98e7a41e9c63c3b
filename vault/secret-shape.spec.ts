import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { secretMaterial } from '../schemas/credential.ts'
import { shapeProblem } from './secret-shape.ts'
import { endOf } from './shapes/client-certificate.ts'

const field = (value: Buffer | string) => {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
const pem = (label: string, body: Buffer | string) => {
  const text = typeof body === 'string' ? body : (body.toString('base64').match(/.{1,70}/g) ?? []).join('\n')
  return `-----BEGIN ${label}-----\n${text}\n-----END ${label}-----\n`
}
const openssh = (cipher: string, privatePart = Buffer.alloc(64, 7)) =>
  Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field(cipher),
    field('none'),
    field(''),
    Buffer.from([0, 0, 0, 1]),
    field(Buffer.alloc(51, 3)),
    field(privatePart),
  ])

const problem = (privateKey: string, passphrase?: string) =>
  shapeProblem(secretMaterial.parse({ kind: 'ssh-key', privateKey, ...(passphrase && { passphrase }) }))

t.test('takes private keys in the formats that SSH uses', async t => {
  t.equal(problem(pem('OPENSSH PRIVATE KEY', openssh('none'))), undefined)
  t.equal(problem(pem('OPENSSH PRIVATE KEY', openssh('aes256-ctr')), 'pass'), undefined)
  t.equal(problem(`\n${pem('OPENSSH PRIVATE KEY', openssh('none')).replaceAll('\n', '\r\n')}\r\n`), undefined)
  const { privateKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  t.equal(problem(String(rsa.export({ type: 'pkcs1', format: 'pem' }))), undefined)
  t.equal(problem(String(rsa.export({ type: 'pkcs8', format: 'pem' }))), undefined)
  t.equal(problem(String(ec.export({ type: 'sec1', format: 'pem' }))), undefined)
  const cipher = { cipher: 'aes-256-cbc', passphrase: 'pass' }
  t.equal(problem(String(rsa.export({ type: 'pkcs8', format: 'pem', ...cipher })), 'pass'), undefined)
  t.equal(problem(String(rsa.export({ type: 'pkcs1', format: 'pem', ...cipher })), 'pass'), undefined)
})

t.test('says in plain words what is wrong, and never quotes the key', async t => {
  const good = openssh('none')
  const cases: [string, RegExp, string?][] = [
    [`ssh-ed25519 ${'A'.repeat(68)} me@here`, /public key/],
    ['PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n', /puttygen/],
    ['correct horse battery staple, and so on for a while', /not a private key/],
    [pem('CERTIFICATE', good), /not a private key/],
    [pem('OPENSSH PRIVATE KEY', good).replace('END OPENSSH', 'END RSA'), /not a private key/],
    [pem('OPENSSH PRIVATE KEY', 'seven words that are not in base64!'), /not base64/],
    [pem('OPENSSH PRIVATE KEY', Buffer.alloc(99, 1)), /damaged/],
    [pem('OPENSSH PRIVATE KEY', good.subarray(0, 60)), /damaged/],
    [pem('OPENSSH PRIVATE KEY', good.subarray(0, 17)), /damaged/],
    [pem('OPENSSH PRIVATE KEY', openssh('none', Buffer.alloc(8))), /damaged/],
    [pem('OPENSSH PRIVATE KEY', openssh('aes256-ctr')), /needs its passphrase/],
    [pem('ENCRYPTED PRIVATE KEY', Buffer.alloc(99, 1)), /needs its passphrase/],
    [pem('OPENSSH PRIVATE KEY', good), /has no passphrase/, 'pass'],
  ]
  for (const [key, words, passphrase] of cases) {
    const said = problem(key, passphrase) ?? ''
    t.match(said, words)
    t.notOk(said.includes(key.slice(40, 60)), 'quotes nothing')
  }
})

t.test('takes any password that a login can carry', async t => {
  t.equal(shapeProblem({ kind: 'password', password: 'pässwörd with spaces' }), undefined)
  t.match(shapeProblem({ kind: 'password', password: 'a\0b' }), /NUL/)
})

t.test('hostile keys cost linear time', async t => {
  const start = performance.now()
  problem(`-----BEGIN PRIVATE KEY-----\n${'\r\n '.repeat(6_000)}`.slice(0, 20_000))
  problem(`-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n${'-----END '.repeat(2_100)}`)
  t.ok(performance.now() - start < 1_000)
})

const parsed = (secret: object) => secretMaterial.parse(secret)
const problemOf = (secret: object) => shapeProblem(parsed(secret))
const pkcs8 = (passphrase?: string) =>
  String(
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      ...{ type: 'pkcs8', format: 'pem' },
      ...(passphrase !== undefined && { cipher: 'aes-256-cbc', passphrase }),
    }),
  )

t.test('passwords, tokens and values', async t => {
  for (const kind of ['password', 'windows-password']) {
    t.equal(problemOf({ kind, password: 'correct horse' }), undefined)
    t.match(problemOf({ kind, password: 'a\0b' }), /NUL/)
  }
  t.throws(() => parsed({ kind: 'windows-password', password: 'x'.repeat(257) }))
  t.equal(problemOf({ kind: 'api-token', token: 'ghp_0123456789' }), undefined)
  for (const token of ['two words', 'two\nlines', 'ümlaut', ' '])
    t.match(problemOf({ kind: 'api-token', token }), /one line of printable characters/)
  t.equal(problemOf({ kind: 'generic', value: 'anything\0 at all\n' }), undefined)
})

t.test('a client certificate comes with its own key', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-x509-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = (name: string) => join(dir, name)
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  execFileSync('openssl', [...args, '-subj', '/CN=client', '-keyout', file('key'), '-out', file('crt')], {
    stdio: 'pipe',
  })
  const [certificate, privateKey] = [readFileSync(file('crt'), 'utf8'), readFileSync(file('key'), 'utf8')]
  execFileSync('openssl', ['pkcs8', '-topk8', '-in', file('key'), '-passout', 'pass:open', '-out', file('enc')])
  const encrypted = readFileSync(file('enc'), 'utf8')
  const given = (more: object) => ({ kind: 'client-certificate', certificate, privateKey, ...more })
  t.equal(problemOf(given({})), undefined)
  t.equal(problemOf(given({ certificate: `Bag Attributes\n${certificate}${certificate}` })), undefined, 'a chain')
  t.equal(problemOf(given({ privateKey: encrypted, passphrase: 'open' })), undefined)
  t.match(problemOf(given({ privateKey: encrypted, passphrase: 'close' })), /passphrase is not its own/)
  t.match(problemOf(given({ privateKey: encrypted })), /passphrase is not its own/)
  t.match(problemOf(given({ privateKey: pkcs8() })), /does not belong to the certificate/)
  t.match(problemOf(given({ certificate: `${privateKey}${certificate}` })), /holds a private key as well/)
  t.match(problemOf(given({ certificate: 'x'.repeat(64) })), /not an X.509 certificate/)
  t.match(problemOf(given({ certificate: certificate.replace('MII', 'AAA') })), /not an X.509 certificate/)
  const left = Date.parse(endOf({ kind: 'client-certificate', certificate, privateKey }) ?? '') - Date.now()
  t.ok(left > 29 * 86_400_000 && left <= 30 * 86_400_000, 'and says when it ends')
})

t.test('an SSH certificate authority signs with the key it is given, or with one of its own', async t => {
  const authority = (more: object) => problemOf({ kind: 'ssh-certificate', ...more })
  t.equal(authority({}), undefined)
  t.equal(authority({ caKey: pkcs8() }), undefined)
  t.equal(authority({ caKey: pkcs8('open'), passphrase: 'open' }), undefined)
  t.match(authority({ caKey: pkcs8('open'), passphrase: 'close' }), /ssh-keygen -p -m PKCS8/)
  t.match(authority({ passphrase: 'open' }), /a passphrase without a key/)
  t.match(authority({ caKey: `ssh-ed25519 ${'A'.repeat(64)}` }), /this is a public key/)
  const other = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  t.match(authority({ caKey: String(other) }), /not a key that certificates can be signed with/)
  t.match(authority({ caKey: pem('OPENSSH PRIVATE KEY', openssh('none')) }), /not a key that certificates/)
  for (const bad of [{ validSeconds: 59 }, { validSeconds: 86_401 }, { principals: [] }, { principals: ['-x'] }])
    t.throws(() => authority(bad))
})

t.test('a reference names a field of a secret, and cannot lead anywhere else', async t => {
  const reference = (path: string) => ({ kind: 'external', of: 'password', path })
  t.equal(problemOf(reference('vault:secret/data/team/db#password')), undefined)
  const bad = ['secret/data/db#x', 'vault:secret/db#x', 'vault:secret/data/db', 'vault:secret/data/../../sys/seal#x']
  for (const path of [...bad, 'vault:secret/data/a?b#c', 'vault:secret/data//a#b', 'vault:secret/data/./a#b'])
    t.throws(() => parsed(reference(path)), path)
  t.throws(() => parsed({ kind: 'external', of: 'ssh-certificate', path: 'vault:secret/data/db#x' }))
})
