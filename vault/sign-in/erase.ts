import { createHash, sign } from 'node:crypto'
import { type Connection, inTransaction, type Pool } from '../../infra/postgres.ts'
import { type ErasureCertificate, erasureText } from '../../schemas/user.ts'
import type { KekProvider } from '../kek.ts'
import { certificateKey } from './signing-keys.ts'

/**
 * Destroys the data key of a person and everything sealed under it, in one transaction with the certificate that says so.
 * Undefined for somebody who never was.
 */
export async function eraseSubject(
  { pool, keks }: { pool: Pool; keks: KekProvider },
  userId: string,
  now: string,
): Promise<ErasureCertificate | undefined> {
  const { privateKey, publicKey } = await certificateKey(pool, keks, now)
  return await inTransaction(pool, async connection => {
    const { rows } = await connection.query<{ wrapped_dek: Buffer | null; certificate: ErasureCertificate | null }>(
      'select wrapped_dek, certificate from vault.subject where user_id = $1 for update',
      [userId],
    )
    const [row] = rows
    if (!row) return undefined
    if (row.certificate || !row.wrapped_dek) return row.certificate ?? undefined
    const records = await destroyRecords(connection, userId)
    const dataKeyDigest = createHash('sha256').update(row.wrapped_dek).digest('hex')
    const said = { userId, erasedAt: now, dataKeyDigest, records }
    const signature = sign(null, Buffer.from(erasureText(said)), privateKey).toString('base64url')
    const certificate = { ...said, publicKey, signature }
    await connection.query(
      `update vault.subject set kek_id = null, wrapped_dek = null, profile = null, login_index = null, external_index = null, certificate = $2 where user_id = $1`,
      [userId, JSON.stringify(certificate)],
    )
    return certificate
  })
}

/** Answers how many there were, the profile among them. */
async function destroyRecords(connection: Connection, userId: string): Promise<number> {
  let records = 1
  for (const table of ['verifier', 'totp', 'recovery_code', 'familiar_address']) {
    const { rowCount } = await connection.query(`delete from vault.${table} where user_id = $1`, [userId])
    records += rowCount ?? 0
  }
  return records
}
