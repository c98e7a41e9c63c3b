import type { Pool } from '../infra/postgres.ts'
import type { Envelope } from './envelope.ts'

export type StoredSecret = Envelope & { fingerprint: string }

type Row = {
  seal_id: string
  credential_id: string
  version: number
  format: number
  fingerprint: string
  sealed_kek_id: string
  kek_id: string
  wrapped_dek: Buffer
  iv: Buffer
  ciphertext: Buffer
  tag: Buffer
}

/**
 * Sealed secrets at rest. A row that no event names (the command that asked for it lost a race, or its client went
 * away) is never released and does no harm.
 */
export type SecretStore = {
  /** Stores it, or answers what is stored already for the same version and fingerprint. Durable when it resolves. */
  keep(secret: StoredSecret, now: string): Promise<StoredSecret>
  /** The same version with the same plaintext, sealed before. */
  find(credentialId: string, version: number, fingerprint: string): Promise<StoredSecret | undefined>
  get(sealId: string): Promise<StoredSecret | undefined>
}

export function secretStore(pool: Pool): SecretStore {
  const one = async (sql: string, values: unknown[]): Promise<StoredSecret | undefined> => {
    const { rows } = await pool.query<Row>(sql, values)
    return rows[0] && fromRow(rows[0])
  }
  const find = (credentialId: string, version: number, fingerprint: string) =>
    one('select * from vault.secret where credential_id = $1 and version = $2 and fingerprint = $3', [
      credentialId,
      version,
      fingerprint,
    ])
  return {
    find,
    get: async sealId => {
      const { rows } = await pool.query<Row>({ ...GET, values: [sealId] })
      return rows[0] && fromRow(rows[0])
    },
    keep: async (secret, now) => {
      const { rows } = await pool.query(INSERT, [...toRow(secret), now])
      if (rows.length > 0) return secret
      const earlier = await find(secret.credentialId, secret.version, secret.fingerprint)
      if (!earlier) throw new Error('a sealed secret was removed while it was read')
      return earlier
    },
  }
}

// By name, so that a connection reads and plans it once: a fan-out asks for each target.
const GET = {
  name: 'vault-secret',
  text: `select seal_id, credential_id, version, format, fingerprint, sealed_kek_id, kek_id, wrapped_dek, iv, ciphertext, tag
    from vault.secret where seal_id = $1`,
}

const INSERT = `
  insert into vault.secret (seal_id, credential_id, version, format, fingerprint, sealed_kek_id, kek_id, wrapped_dek,
    iv, ciphertext, tag, created_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
  on conflict (credential_id, version, fingerprint) do nothing
  returning seal_id`

const toRow = (secret: StoredSecret): unknown[] => [
  secret.sealId,
  secret.credentialId,
  secret.version,
  secret.format,
  secret.fingerprint,
  secret.sealedKekId,
  secret.kekId,
  secret.wrappedDek,
  secret.iv,
  secret.ciphertext,
  secret.tag,
]

const fromRow = (row: Row): StoredSecret => ({
  sealId: row.seal_id,
  credentialId: row.credential_id,
  version: row.version,
  format: row.format,
  fingerprint: row.fingerprint,
  sealedKekId: row.sealed_kek_id,
  kekId: row.kek_id,
  wrappedDek: row.wrapped_dek,
  iv: row.iv,
  ciphertext: row.ciphertext,
  tag: row.tag,
})
