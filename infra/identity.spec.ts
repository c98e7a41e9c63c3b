import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { loadOrCreateIdentity, releaseSignedText, verifySignature } from './identity.ts'

const dir = mkdtempSync(join(tmpdir(), 'opsc-identity-'))
t.teardown(() => rmSync(dir, { recursive: true }))
const file = join(dir, 'executor', 'identity.pem')

t.test('an identity is made once, kept private and stays the same', async t => {
  const first = loadOrCreateIdentity(file)
  t.match(first.publicKey, /^[A-Za-z0-9_-]{43}$/)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(statSync(join(dir, 'executor')).mode & 0o777, 0o700)
  t.equal(loadOrCreateIdentity(file).publicKey, first.publicKey)
  t.not(loadOrCreateIdentity(join(dir, 'other.pem')).publicKey, first.publicKey)
})

t.test('only the holder of the key can sign, and only this text', async t => {
  const identity = loadOrCreateIdentity(file)
  const text = releaseSignedText({ runId: 'r', n: 1, epoch: 2, credentialId: 'c', version: 3, ephemeralKey: 'k' })
  t.equal(text, 'opsconductor release|r|1|2|c|3|k')
  const signature = identity.sign(text)
  t.ok(verifySignature(identity.publicKey, text, signature))
  t.notOk(verifySignature(identity.publicKey, `${text} `, signature))
  t.notOk(verifySignature(loadOrCreateIdentity(join(dir, 'other.pem')).publicKey, text, signature))
  for (const bad of ['', 'AAAA', signature.slice(1)]) t.notOk(verifySignature(identity.publicKey, text, bad), bad)
  for (const bad of ['', 'AAAA']) t.notOk(verifySignature(bad, text, signature), bad)
})

t.test('verifies the second vector of RFC 8032 section 7.1', async t => {
  const key = Buffer.from('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', 'hex')
  const signature = Buffer.from(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    'hex',
  )
  t.ok(verifySignature(key.toString('base64url'), 'r', signature.toString('base64url')))
})

t.test('refuses an identity that others can read, or that is none, without quoting it', async t => {
  chmodSync(file, 0o640)
  t.throws(() => loadOrCreateIdentity(file), /can be read by others/)
  const broken = join(dir, 'broken.pem')
  writeFileSync(broken, '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n', { mode: 0o600 })
  t.throws(() => loadOrCreateIdentity(broken), { message: `the identity ${broken} holds no Ed25519 private key` })
  t.match(readFileSync(broken, 'utf8'), 'c2VjcmV0', 'and leaves it as it is')
})
