import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import t from 'tap'
import { TOKEN_ISSUER, tokenAudience, tokenType } from '../../schemas/sign-in-bus.ts'
import { createTokenCheck } from './tokens.ts'

const noon = '2030-01-01T12:00:00.000Z'
const now = Date.parse(noon) / 1000
const userId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const sessionId = '0192d3c4-5e6f-7a8b-9c0d-00000000000b'
const ours = generateKeyPairSync('ed25519')
const theirs = generateKeyPairSync('ed25519')
const { x = '' } = ours.publicKey.export({ format: 'jwk' })
const published = { kty: 'OKP', crv: 'Ed25519', x, kid: 'k1', use: 'sig', alg: 'EdDSA' } as const
const head = { alg: 'EdDSA', typ: tokenType.access, kid: 'k1' }
const claims = {
  ...{ iss: TOKEN_ISSUER, sub: userId, aud: [tokenAudience.commands], jti: 'j1', sid: sessionId, mfa: true },
  ...{ iat: now, nbf: now, exp: now + 300, began: noon, dk: 'd'.repeat(64) },
}
const encode = (part: object | string) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
const made = (header: object, payload: object | string, by: (text: Buffer) => Buffer): string => {
  const text = `${encode(header)}.${encode(payload)}`
  return `${text}.${by(Buffer.from(text)).toString('base64url')}`
}
const signed = (header: object, payload: object | string, key: KeyObject = ours.privateKey) =>
  made(header, payload, text => sign(null, text, key))

function checking(times = { asked: 0, at: noon, monotonic: 0 }) {
  const clock = { now: () => times.at, monotonic: () => times.monotonic }
  const publicKeys = async () => {
    times.asked += 1
    return [published]
  }
  const check = createTokenCheck({ publicKeys, clock })
  return {
    times,
    check,
    refused: (token: string) => check.access(token, tokenAudience.commands).then(found => found === undefined),
  }
}

t.test('a token of ours is good for the API it is meant for, until it ends', async t => {
  const { check, times } = checking()
  const token = signed(head, claims)
  t.match(await check.access(token, tokenAudience.commands), { userId, sessionId, mfa: true, began: Date.parse(noon) })
  t.equal(await check.access(token, tokenAudience.queries), undefined)
  times.at = '2030-01-01T12:05:00.000Z'
  t.equal(await check.access(token, tokenAudience.commands), undefined, 'also one that was checked before')
})

t.test('abuse 11: what is not signed by our key, with our algorithm, is nothing', async t => {
  const { refused } = checking()
  t.equal(await refused(signed(head, claims)), false, 'the one that is right')
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
    t.ok(await refused(made({ ...head, alg }, claims, () => Buffer.alloc(0))), `alg ${alg} without a signature`)
    t.ok(await refused(signed({ ...head, alg }, claims)), `alg ${alg} with one`)
  }
  const pem = createPublicKey(ours.privateKey).export({ format: 'pem', type: 'spki' }).toString()
  const secrets = [pem, pem.trim(), `${pem}\n`, ` ${pem}`, pem.replaceAll('\n', '\r\n'), pem.replaceAll('\n', '')]
  const jwk = JSON.stringify(ours.publicKey.export({ format: 'jwk' }))
  for (const secret of [...secrets, jwk, JSON.stringify(published), x, Buffer.from(x, 'base64url')])
    for (const [alg, hash] of [
      ['HS256', 'sha256'],
      ['HS512', 'sha512'],
    ] as const)
      t.ok(await refused(made({ ...head, alg }, claims, text => createHmac(hash, secret).update(text).digest())), alg)
  for (const alg of ['ES256', 'RS256', 'PS256', 'Ed448', 'ed25519'])
    t.ok(await refused(signed({ ...head, alg }, claims)), alg)
})

t.test('abuse 11: what a token says about keys is not looked at', async t => {
  const { refused, times } = checking()
  const own = theirs.publicKey.export({ format: 'jwk' })
  const forged = (header: object) => refused(signed({ ...head, ...header }, claims, theirs.privateKey))
  t.ok(await forged({}), 'another key')
  t.ok(await forged({ jwk: own }), 'jwk')
  t.ok(await forged({ jwk: { ...own, kid: 'k1' } }), 'jwk by our name')
  for (const name of ['jku', 'x5u']) t.ok(await forged({ [name]: 'https://evil.invalid/keys' }), name)
  t.ok(await forged({ x5c: ['MIIB'] }), 'x5c')
  t.ok(await forged({ kid: '../../etc/passwd' }), 'kid as a path')
  t.ok(await forged({ kid: "k1' or '1'='1" }), 'kid as SQL')
  t.ok(await refused(signed({ ...head, kid: 'k2' }, claims)), 'a kid that is not ours')
  t.ok(await refused(signed({ alg: 'EdDSA', typ: head.typ }, claims)), 'no kid')
  t.ok(await refused(signed({ ...head, crit: ['exp'] }, claims)), 'crit')
  t.ok(times.asked <= 2, 'made-up names of keys do not make us ask again and again')
  times.monotonic = 6_000
  t.ok(await forged({ kid: 'k9' }))
  t.ok(times.asked <= 3)
})

t.test('abuse 11: wrong kind, wrong audience, wrong issuer, too late, too early, incomplete', async t => {
  const { refused, check } = checking()
  for (const typ of ['JWT', tokenType.challenge, 'at+JWT;x', ''])
    t.ok(await refused(signed({ ...head, typ }, claims)), typ)
  t.ok(await refused(signed({ alg: 'EdDSA', kid: 'k1' }, claims)), 'no typ')
  for (const aud of ['urn:other', [], [tokenAudience.signIn], tokenAudience.queries, undefined])
    t.ok(await refused(signed(head, { ...claims, aud })), String(aud))
  for (const iss of ['urn:other', `${TOKEN_ISSUER} `, undefined])
    t.ok(await refused(signed(head, { ...claims, iss })), String(iss))
  t.ok(await refused(signed(head, { ...claims, exp: now })), 'expired')
  t.ok(await refused(signed(head, { ...claims, nbf: now + 60 })), 'not yet')
  for (const left of ['exp', 'nbf', 'iat', 'jti', 'sub', 'sid', 'mfa', 'began', 'dk'])
    t.ok(await refused(signed(head, { ...claims, [left]: undefined })), `without ${left}`)
  t.ok(await refused(signed(head, { ...claims, sub: 'admin' })), 'a subject that is none of ours')
  t.ok(await refused(signed(head, 'not json')))
  t.ok(await refused(`${signed(head, claims)}x`))
  t.ok(await refused(signed(head, claims).split('.').slice(0, 2).join('.')))
  const challenge = { ...claims, aud: [tokenAudience.signIn], step: 'second-factor', method: 'passphrase', mfa: false }
  t.match(await check.challenge(signed({ ...head, typ: tokenType.challenge }, challenge)), { sub: userId })
  t.equal(await check.challenge(signed(head, claims)), undefined, 'abuse 12: an access token is no challenge')
  t.ok(await refused(signed({ ...head, typ: tokenType.challenge }, challenge)), 'abuse 16: a challenge opens no API')
})

t.test('keys that are known stay good while nobody can be asked, whatever names strangers make up', async t => {
  const times = { at: noon, monotonic: 0, asked: 0, away: true }
  const clock = { now: () => times.at, monotonic: () => times.monotonic }
  const publicKeys = async () => {
    times.asked += 1
    if (times.away) throw new Error('nobody there')
    return [published]
  }
  const check = createTokenCheck({ publicKeys, clock })
  const access = (token: string) => check.access(token, tokenAudience.commands)
  const token = (jti: string, kid = 'k1') => signed({ ...head, kid }, { ...claims, jti })
  await t.rejects(access(token('a')), /nobody there/)
  await t.rejects(access(token('b')), /nobody there/, 'not asked again at once')
  t.equal(times.asked, 1)
  times.away = false
  times.monotonic = 501
  t.match(await access(token('c')), { userId })
  times.away = true
  times.monotonic = 6_000
  await t.rejects(access(token('d', 'made-up')), /nobody there/)
  t.match(await access(token('e')), { userId }, 'one that was not seen before')
  times.monotonic = 700_000
  t.match(await access(token('f')), { userId })
  t.equal(times.asked, 4)
})
