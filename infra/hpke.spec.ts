import { createCipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from 'node:crypto'
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import t from 'tap'
import {
  exportHpkePrivateKey,
  HpkeKeyError,
  HpkeOpenError,
  hpkeOpen,
  hpkeSeal,
  importHpkeKeyPair,
  newHpkeKeyPair,
  releaseInfo,
  sealInfo,
} from './hpke.ts'

/** RFC 9180 appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, sequence number 0. */
const vector = {
  info: 'Ode on a Grecian Urn',
  skEm: '52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736',
  skRm: '4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8',
  pkRm: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d',
  enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
  aad: 'Count-0',
  pt: 'Beauty is truth, truth beauty',
  ct: 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
}

/** Points of order 1, 2, 4 and 8 and their other spellings: with each, X25519 gives zero (RFC 7748 section 6.1). */
const lowOrder = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
].map(key => Buffer.from(key, 'hex').toString('base64url'))

const text64 = (bytes: ArrayBuffer) => Buffer.from(bytes).toString('base64url')
const hex = (text: string) => Buffer.from(text, 'hex')
const i2osp = (value: number, bytes: number) => {
  const out = Buffer.alloc(bytes)
  out.writeUIntBE(value, 0, bytes)
  return out
}
const extract = (salt: Buffer, ikm: Buffer) =>
  createHmac('sha256', salt.length > 0 ? salt : Buffer.alloc(32))
    .update(ikm)
    .digest()
// HKDF-Expand alone: node offers extract-and-expand, so the expansion is spelled out (RFC 5869 section 2.3).
const expand = (prk: Buffer, info: Buffer, length: number) => {
  let block = Buffer.alloc(0)
  let out = Buffer.alloc(0)
  for (let i = 1; out.length < length; i += 1) {
    block = createHmac('sha256', prk)
      .update(Buffer.concat([block, info, i2osp(i, 1)]))
      .digest()
    out = Buffer.concat([out, block])
  }
  return out.subarray(0, length)
}
const labeled = (suiteId: Buffer) => ({
  extract: (salt: Buffer, label: string, ikm: Buffer) =>
    extract(salt, Buffer.concat([Buffer.from('HPKE-v1'), suiteId, Buffer.from(label), ikm])),
  expand: (prk: Buffer, label: string, info: Buffer, length: number) =>
    expand(prk, Buffer.concat([i2osp(length, 2), Buffer.from('HPKE-v1'), suiteId, Buffer.from(label), info]), length),
})

function x25519(privateBytes: Buffer, publicBytes: Buffer): Buffer {
  return diffieHellman({
    privateKey: createPrivateKey({
      key: Buffer.concat([hex('302e020100300506032b656e04220420'), privateBytes]),
      format: 'der',
      type: 'pkcs8',
    }),
    publicKey: createPublicKey({
      key: Buffer.concat([hex('302a300506032b656e032100'), publicBytes]),
      format: 'der',
      type: 'spki',
    }),
  })
}

/** The RFC's own steps with a given ephemeral key, written from its text alone: the judge of ours. */
function referenceSeal(keyBytes: 16 | 32, info: string, aad: string, plaintext: string): Buffer {
  const enc = hex(vector.enc)
  const pkR = hex(vector.pkRm)
  const kem = labeled(Buffer.concat([Buffer.from('KEM'), i2osp(0x0020, 2)]))
  const dh = x25519(hex(vector.skEm), pkR)
  const shared = kem.expand(kem.extract(Buffer.alloc(0), 'eae_prk', dh), 'shared_secret', Buffer.concat([enc, pkR]), 32)
  const aead = keyBytes === 16 ? 0x0001 : 0x0002
  const of = labeled(Buffer.concat([Buffer.from('HPKE'), i2osp(0x0020, 2), i2osp(0x0001, 2), i2osp(aead, 2)]))
  const context = Buffer.concat([
    Buffer.from([0]),
    of.extract(Buffer.alloc(0), 'psk_id_hash', Buffer.alloc(0)),
    of.extract(Buffer.alloc(0), 'info_hash', Buffer.from(info)),
  ])
  const secret = of.extract(shared, 'secret', Buffer.alloc(0))
  const key = of.expand(secret, 'key', context, keyBytes)
  const nonce = of.expand(secret, 'base_nonce', context, 12)
  const cipher = createCipheriv(keyBytes === 16 ? 'aes-128-gcm' : 'aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.from(aad))
  return Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

t.test('the reference in this spec reproduces the vector of RFC 9180 A.1.1', async t => {
  t.equal(referenceSeal(16, vector.info, vector.aad, vector.pt).toString('hex'), vector.ct)
})

t.test('opens what the reference sealed with AES-256-GCM to the key of the vector', async t => {
  const recipient = importHpkeKeyPair(hex(vector.skRm))
  t.equal(recipient.publicKey, hex(vector.pkRm).toString('base64url'))
  const ciphertext = referenceSeal(32, vector.info, '', vector.pt).toString('base64url')
  const opened = hpkeOpen(recipient, vector.info, { enc: hex(vector.enc).toString('base64url'), ciphertext })
  t.equal(Buffer.from(opened).toString(), vector.pt)
})

t.test('opens what another implementation sealed, and seals what it opens', async t => {
  const other = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
  const ours = newHpkeKeyPair()
  const [publicKey, privateKey] = await Promise.all([
    other.kem.deserializePublicKey(Buffer.from(ours.publicKey, 'base64url')),
    other.kem.deserializePrivateKey(exportHpkePrivateKey(ours)),
  ])
  for (const text of ['', 'open sesame', 'long '.repeat(1_000)]) {
    const info = Buffer.from(`for ${text.length} bytes`)
    const made = await other.seal({ recipientPublicKey: publicKey, info }, Buffer.from(text))
    const opened = hpkeOpen(ours, info.toString(), { enc: text64(made.enc), ciphertext: text64(made.ct) })
    t.equal(Buffer.from(opened).toString(), text)
    const sealed = hpkeSeal(ours.publicKey, info.toString(), Buffer.from(text))
    const ciphertext = Buffer.from(sealed.ciphertext, 'base64url')
    const read = await other.open(
      { recipientKey: privateKey, enc: Buffer.from(sealed.enc, 'base64url'), info },
      ciphertext,
    )
    t.equal(Buffer.from(read).toString(), text)
  }
})

t.test('what is sealed to a key opens with it, also after the key was exported and imported', async t => {
  const pair = newHpkeKeyPair()
  const sealed = hpkeSeal(pair.publicKey, 'for this', Buffer.from('open sesame'))
  t.match(sealed.enc, /^[A-Za-z0-9_-]{43}$/)
  t.notMatch(Buffer.from(sealed.ciphertext, 'base64url').toString('latin1'), 'open sesame')
  const again = importHpkeKeyPair(exportHpkePrivateKey(pair))
  t.equal(again.publicKey, pair.publicKey)
  t.equal(Buffer.from(hpkeOpen(again, 'for this', sealed)).toString(), 'open sesame')
  const other = hpkeSeal(pair.publicKey, 'for this', Buffer.from('open sesame'))
  t.not(other.ciphertext, sealed.ciphertext, 'every sealing has its own key')
})

t.test('refuses other info, another key and every changed bit', async t => {
  const pair = newHpkeKeyPair()
  const sealed = hpkeSeal(pair.publicKey, 'for this', Buffer.from('x'))
  t.throws(() => hpkeOpen(pair, 'for that', sealed), HpkeOpenError)
  t.throws(() => hpkeOpen(newHpkeKeyPair(), 'for this', sealed), HpkeOpenError)
  for (const field of ['enc', 'ciphertext'] as const) {
    const bytes = Buffer.from(sealed[field], 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes)
      const at = bit >> 3
      changed[at] = (changed[at] ?? 0) ^ (1 << (bit & 7))
      // X25519 ignores the top bit of a public key, yet the encapsulated key is bound as sent (RFC 9180 section 4.1).
      t.throws(() => hpkeOpen(pair, 'for this', { ...sealed, [field]: changed.toString('base64url') }), HpkeOpenError)
    }
  }
  t.throws(() => hpkeOpen(pair, 'for this', { enc: '', ciphertext: '' }), HpkeOpenError)
})

t.test('refuses keys that are none or would make every secret the same', async t => {
  const short = Buffer.alloc(31, 9).toString('base64url')
  for (const key of ['', short, ...lowOrder]) t.throws(() => hpkeSeal(key, 'i', Buffer.from('x')), HpkeKeyError, key)
  const pair = newHpkeKeyPair()
  const { ciphertext } = hpkeSeal(pair.publicKey, 'i', Buffer.from('x'))
  for (const enc of lowOrder) t.throws(() => hpkeOpen(pair, 'i', { enc, ciphertext }), HpkeOpenError, enc)
  t.throws(() => importHpkeKeyPair(Buffer.alloc(31)), HpkeKeyError)
})

t.test('the info strings name what they bind', async t => {
  t.equal(sealInfo('c', 2), 'opsconductor seal|c|2')
  const of = { runId: 'r', n: 3, epoch: 4, executorId: 'e', credentialId: 'c', version: 5 }
  t.equal(releaseInfo(of), 'opsconductor release|r|3|4|e|c|5')
})

t.test('the expansion spelled out above is the one of RFC 5869', async t => {
  const ours = expand(extract(Buffer.from('salt'), Buffer.from('ikm')), Buffer.from('info'), 80)
  t.same(ours, Buffer.from(hkdfSync('sha256', 'ikm', 'salt', 'info', 80)))
})
