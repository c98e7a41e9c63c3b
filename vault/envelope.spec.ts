import { randomBytes } from 'node:crypto'
import t from 'tap'
import { aad } from './aad.ts'
import { NotAuthentic } from './aes-gcm.ts'
import { type Envelope, openEnvelope, sealEnvelope } from './envelope.ts'
import { environmentKekProvider } from './kek/environment.ts'
import { UnknownKek } from './kek.ts'

const keys = new Map([
  ['kek-1', randomBytes(32)],
  ['kek-2', randomBytes(32)],
])
const keks = environmentKekProvider({ active: 'kek-1', keys })
const name = { credentialId: 'root-of-db1', version: 2, sealId: 'seal-1' }
const secret = Buffer.from('correct horse battery staple')

t.test('what is sealed opens again, and nothing of it is readable in between', async t => {
  const envelope = await sealEnvelope(keks, name, secret)
  t.same(await openEnvelope(keks, envelope), secret)
  t.equal(envelope.ciphertext.includes(secret.subarray(0, 8)), false)
  t.equal(envelope.iv.length, 12)
  t.equal(envelope.tag.length, 16)
  t.match(envelope, { format: 1, kekId: 'kek-1', sealedKekId: 'kek-1', ...name })
  const again = await sealEnvelope(keks, name, secret)
  t.notSame(again.ciphertext, envelope.ciphertext, 'every sealing has its own data key')
})

t.test('an envelope moved to another place does not open', async t => {
  const mine = await sealEnvelope(keks, name, secret)
  const theirs = await sealEnvelope(keks, { ...name, credentialId: 'guest', version: 1 }, Buffer.from('guest'))
  const moved: Record<string, Envelope> = {
    'to another credential': { ...mine, credentialId: 'guest' },
    'to an older version': { ...mine, version: 1 },
    'to another sealing of the version': { ...mine, sealId: 'seal-2' },
    'to another format': { ...mine, format: 2 },
    'to another key': { ...mine, kekId: 'kek-2' },
    'with another first key': { ...mine, sealedKekId: 'kek-2' },
    'ciphertext of another row': { ...mine, iv: theirs.iv, ciphertext: theirs.ciphertext, tag: theirs.tag },
    'data key of another row': { ...mine, wrappedDek: theirs.wrappedDek },
    'whole content of another row': { ...theirs, ...name },
  }
  for (const [what, envelope] of Object.entries(moved)) {
    await t.rejects(openEnvelope(keks, envelope), NotAuthentic, what)
  }
})

t.test('an envelope changed in any part does not open', async t => {
  const envelope = await sealEnvelope(keks, name, secret)
  for (const part of ['wrappedDek', 'iv', 'ciphertext', 'tag'] as const) {
    for (let at = 0; at < envelope[part].length; at += 1) {
      const changed = Buffer.from(envelope[part])
      changed[at] = (changed[at] ?? 0) ^ 1
      await t.rejects(openEnvelope(keks, { ...envelope, [part]: changed }), NotAuthentic, `${part} byte ${at}`)
    }
    await t.rejects(openEnvelope(keks, { ...envelope, [part]: Buffer.alloc(0) }), NotAuthentic, `no ${part}`)
  }
})

t.test('needs the very key it was wrapped with', async t => {
  const envelope = await sealEnvelope(keks, name, secret)
  const strange = environmentKekProvider({ active: 'kek-1', keys: new Map([['kek-1', randomBytes(32)]]) })
  await t.rejects(openEnvelope(strange, envelope), NotAuthentic)
  const without = environmentKekProvider({ active: 'kek-9', keys: new Map([['kek-9', randomBytes(32)]]) })
  await t.rejects(openEnvelope(without, envelope), UnknownKek)
})

t.test('a new active key reads what the old one sealed', async t => {
  const envelope = await sealEnvelope(keks, name, secret)
  const rotated = environmentKekProvider({ active: 'kek-2', keys })
  t.same(await openEnvelope(rotated, envelope), secret)
  t.equal((await sealEnvelope(rotated, name, secret)).kekId, 'kek-2')
  t.match(await rotated.health(), { ok: true, detail: 'kek-2' })
  t.same(rotated.ids(), ['kek-1', 'kek-2'])
})

t.test('no two lists of parts make the same additional data', async t => {
  t.notSame(aad('ab', 'c'), aad('a', 'bc'))
  t.notSame(aad('a', ''), aad('a'))
  t.same(aad(1, 'é'), Buffer.from([0, 0, 0, 1, 0x31, 0, 0, 0, 2, 0xc3, 0xa9]))
})
