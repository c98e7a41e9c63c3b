import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { secretMaterial } from '../schemas/credential.ts'
import { shapeProblem } from './secret-shape.ts'

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
