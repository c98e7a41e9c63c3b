import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { SignJWT } from 'jose'
import { type Connection, inTransaction, type Pool } from '../../infra/postgres.ts'
import { type SignInReply, type SignInRequest, TOKEN_ISSUER, tokenType } from '../../schemas/sign-in-bus.ts'
import { aad } from '../aad.ts'
import type { KekProvider } from '../kek.ts'

const FORMAT = 1
const LOCK = 0x7369676e
/** Tokens are short-lived, and so are the keys that sign them. */
const RENEW_AFTER_MS = 24 * 3_600_000
/** A key that signs no more is published as long as something it signed may be good. */
const PUBLISH_AFTER_MS = RENEW_AFTER_MS + 3_600_000
const LIFE_SECONDS = { access: 300, challenge: 300 } as const

type Row = { kid: string; kek_id: string; wrapped: Buffer; public_key: string; created_at: string }
type SigningKey = { kid: string; createdAt: number; privateKey: KeyObject }

/** Signs tokens (RFC 7519, EdDSA as RFC 8037 has it) with keys that never leave this process. */
export type SigningKeys = {
  sign(request: SignInRequest<'sign-token'>, now: string): Promise<SignInReply<'sign-token'>>
  publicKeys(now: string): Promise<SignInReply<'public-keys'>>
}

export function createSigningKeys(pool: Pool, keks: KekProvider): SigningKeys {
  let current: Promise<SigningKey> | undefined
  const active = async (now: string): Promise<SigningKey> => {
    const key = await current?.catch(() => undefined)
    if (key && Date.parse(now) - key.createdAt < RENEW_AFTER_MS) return key
    current = inTransaction(pool, connection => newestOrNew(connection, keks, now))
    return await current
  }
  return {
    async sign({ kind, subject, audience, claims, notAfter }, now) {
      const { kid, privateKey } = await active(now)
      const issuedAt = Math.floor(Date.parse(now) / 1000)
      const latest = notAfter === undefined ? Number.POSITIVE_INFINITY : Math.floor(Date.parse(notAfter) / 1000)
      const expires = Math.min(issuedAt + LIFE_SECONDS[kind], latest)
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'EdDSA', typ: tokenType[kind], kid })
        .setIssuer(TOKEN_ISSUER)
        .setSubject(subject)
        .setAudience(audience)
        .setJti(randomBytes(16).toString('hex'))
        .setIssuedAt(issuedAt)
        .setNotBefore(issuedAt)
        .setExpirationTime(expires)
        .sign(privateKey)
      return { token, expiresAt: new Date(expires * 1000).toISOString() }
    },
    async publicKeys(now) {
      await active(now)
      const { rows } = await pool.query<Pick<Row, 'kid' | 'public_key'>>(
        `select kid, public_key from vault.signing_key where purpose = 'token' and created_at > $1 order by created_at desc`,
        [new Date(Date.parse(now) - PUBLISH_AFTER_MS).toISOString()],
      )
      const fixed = { kty: 'OKP', crv: 'Ed25519', use: 'sig', alg: 'EdDSA' } as const
      return { keys: rows.map(({ kid, public_key: x }) => ({ ...fixed, kid, x })) }
    },
  }
}

/** One key for all vaults: the first that finds the newest too old makes the next. */
async function newestOrNew(connection: Connection, keks: KekProvider, now: string): Promise<SigningKey> {
  await connection.query('select pg_advisory_xact_lock($1)', [LOCK])
  const after = new Date(Date.parse(now) - RENEW_AFTER_MS).toISOString()
  const { rows } = await connection.query<Row>(
    `select * from vault.signing_key where purpose = 'token' and created_at > $1 order by created_at desc limit 1`,
    [after],
  )
  await connection.query(`delete from vault.signing_key where purpose = 'token' and created_at < $1`, [
    new Date(Date.parse(now) - PUBLISH_AFTER_MS).toISOString(),
  ])
  const row = rows[0] ?? (await makeKey(connection, keks, 'token', now))
  return { kid: row.kid, createdAt: Date.parse(row.created_at), privateKey: await openKey(keks, row) }
}

/** The key that signs certificates of erasure: it stays, so that they can be checked for good. */
export async function certificateKey(
  pool: Pool,
  keks: KekProvider,
  now: string,
): Promise<{ privateKey: KeyObject; publicKey: string }> {
  return await inTransaction(pool, async connection => {
    await connection.query('select pg_advisory_xact_lock($1)', [LOCK])
    const { rows } = await connection.query<Row>(`select * from vault.signing_key where purpose = 'certificate'`)
    const row = rows[0] ?? (await makeKey(connection, keks, 'certificate', now))
    return { privateKey: await openKey(keks, row), publicKey: row.public_key }
  })
}

/** What a wrapped signing key is bound to, for whoever wraps it anew under another key-encryption key. */
export const signingKeyAad = (kid: string, kekId: string): Buffer => aad(FORMAT, 'signing-key', kid, kekId)

async function makeKey(connection: Connection, keks: KekProvider, purpose: string, now: string): Promise<Row> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const kid = randomBytes(8).toString('hex')
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  const wrapped = await keks.wrap(keks.active, der, signingKeyAad(kid, keks.active))
  der.fill(0)
  const { x = '' } = publicKey.export({ format: 'jwk' })
  const row: Row = { kid, kek_id: keks.active, wrapped, public_key: x, created_at: now }
  await connection.query(
    'insert into vault.signing_key (kid, purpose, kek_id, wrapped, public_key, created_at) values ($1, $2, $3, $4, $5, $6)',
    [kid, purpose, row.kek_id, wrapped, x, now],
  )
  return row
}

async function openKey(keks: KekProvider, { kid, kek_id, wrapped }: Row): Promise<KeyObject> {
  const der = await keks.unwrap(kek_id, wrapped, signingKeyAad(kid, kek_id))
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
  }
}
