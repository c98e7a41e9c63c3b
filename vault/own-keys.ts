import { createHash, createHmac, randomBytes } from 'node:crypto'
import { exportHpkePrivateKey, type HpkeKeyPair, importHpkeKeyPair, newHpkeKeyPair } from '../infra/hpke.ts'
import { type Connection, inTransaction, type Pool } from '../infra/postgres.ts'
import { aad } from './aad.ts'
import { NotAuthentic } from './aes-gcm.ts'
import { type KekProvider, UnknownKek } from './kek.ts'

/** The vault must not start: the keys it was given are not those its secrets were sealed with. */
export class KekRefused extends Error {
  override name = 'KekRefused'
}

/** What the vault works with. Both keys rest wrapped by a key-encryption key, so they outlive its rotation. */
export type OwnKeys = {
  /** Short name of the key pair, so that a sender notices when it has an old one. */
  keyId: string
  pair: HpkeKeyPair
  /**
   * Keyed (HMAC-SHA256), so that nobody can try out guesses on it; over the credential's id too, so that equal
   * secrets of different credentials do not show as equal.
   */
  fingerprint(credentialId: string, plaintext: Uint8Array): string
}

const FORMAT = 1
const CHECK_BYTES = 32
const LOCK = 0x7661756d

/**
 * Checks every key-encryption key in use against the value stored with it, then loads the vault's own keys, or makes
 * them at the first start. Keys that no secret was ever sealed with may be replaced. Throws KekRefused.
 */
export async function loadOwnKeys(pool: Pool, keks: KekProvider, now: string): Promise<OwnKeys> {
  return await inTransaction(pool, async connection => {
    await connection.query('select pg_advisory_xact_lock($1)', [LOCK])
    const secrets = await hasSecrets(connection)
    await refuseWrongKeks(connection, keks).catch(async err => {
      if (secrets || !(err instanceof KekRefused)) throw err
      await connection.query('delete from vault.own_key')
      await connection.query('delete from vault.kek')
    })
    await registerKek(connection, keks, keks.active, now)
    if (!(await exists(connection, 'own_key'))) {
      if (secrets) throw new KekRefused("there are secrets, but the vault's own keys are gone")
      await makeKeys(connection, keks, now)
    }
    const pair = await unwrapped(connection, keks, 'hpke', importHpkeKeyPair)
    const fingerprintKey = await unwrapped(connection, keks, 'fingerprint', key => Buffer.from(key))
    return {
      keyId: createHash('sha256').update(pair.publicKey).digest('hex').slice(0, 16),
      pair,
      fingerprint: (credentialId, plaintext) =>
        createHmac('sha256', fingerprintKey).update(aad(credentialId)).update(plaintext).digest('hex'),
    }
  })
}

/** True once something is sealed: from then on a missing key file is a lost key file. */
export const hasSecrets = async (on: Pool | Connection): Promise<boolean> =>
  (await exists(on, 'secret')) || (await exists(on, 'subject'))

async function exists(on: Pool | Connection, table: 'secret' | 'subject' | 'own_key'): Promise<boolean> {
  const { rowCount } = await on.query(`select 1 from vault.${table} limit 1`)
  return (rowCount ?? 0) > 0
}

const checkAad = (kekId: string) => aad(FORMAT, 'check', kekId)
export const ownKeyAad = (name: string, kekId: string) => aad(FORMAT, 'own-key', name, kekId)

async function refuseWrongKeks(connection: Connection, keks: KekProvider): Promise<void> {
  const { rows } = await connection.query<{ kek_id: string; check_value: Buffer }>(
    `select kek_id, check_value from vault.kek k
     where exists (select from vault.secret s where s.kek_id = k.kek_id)
        or exists (select from vault.subject s where s.kek_id = k.kek_id)
        or exists (select from vault.own_key o where o.kek_id = k.kek_id) or k.kek_id = $1`,
    [keks.active],
  )
  for (const { kek_id: kekId, check_value: check } of rows) {
    try {
      await keks.unwrap(kekId, check, checkAad(kekId))
    } catch (err) {
      if (err instanceof UnknownKek) throw new KekRefused(`secrets are sealed with the key ${kekId}, which is missing`)
      if (err instanceof NotAuthentic) throw new KekRefused(`the key ${kekId} is not the one secrets were sealed with`)
      throw err
    }
  }
}

/** Keeps what a key can be told by later; nothing is wrapped by one that is not known so. */
export async function registerKek(on: Pool | Connection, keks: KekProvider, kekId: string, now: string): Promise<void> {
  const check = await keks.wrap(kekId, randomBytes(CHECK_BYTES), checkAad(kekId))
  await on.query(
    'insert into vault.kek (kek_id, check_value, created_at) values ($1, $2, $3) on conflict (kek_id) do nothing',
    [kekId, check, now],
  )
}

async function makeKeys(connection: Connection, keks: KekProvider, now: string): Promise<void> {
  const keep = async (name: string, key: Uint8Array) => {
    const wrapped = await keks.wrap(keks.active, key, ownKeyAad(name, keks.active))
    key.fill(0)
    await connection.query('insert into vault.own_key (name, kek_id, wrapped, created_at) values ($1, $2, $3, $4)', [
      name,
      keks.active,
      wrapped,
      now,
    ])
  }
  await keep('hpke', exportHpkePrivateKey(newHpkeKeyPair()))
  await keep('fingerprint', randomBytes(32))
}

async function unwrapped<T>(
  connection: Connection,
  keks: KekProvider,
  name: string,
  use: (key: Buffer) => T,
): Promise<T> {
  const { rows } = await connection.query<{ kek_id: string; wrapped: Buffer }>(
    'select kek_id, wrapped from vault.own_key where name = $1',
    [name],
  )
  const row = rows[0]
  if (!row) throw new KekRefused(`the vault's own key ${name} is gone`)
  const key = await keks.unwrap(row.kek_id, row.wrapped, ownKeyAad(name, row.kek_id)).catch(err => {
    throw err instanceof NotAuthentic ? new KekRefused(`the vault's own key ${name} is damaged`) : err
  })
  try {
    return use(key)
  } finally {
    key.fill(0)
  }
}
