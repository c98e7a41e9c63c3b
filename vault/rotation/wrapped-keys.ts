import type { Connection } from '../../infra/postgres.ts'
import { dekAad } from '../envelope.ts'
import { ownKeyAad } from '../own-keys.ts'
import { signingKeyAad } from '../sign-in/signing-keys.ts'
import { subjectKeyAad } from '../sign-in/subject-key.ts'

/** A key that rests wrapped by a key-encryption key; `aad` is what it is bound to when wrapped by this one. */
export type WrappedKey = { key: string; kekId: string; wrapped: Buffer; aad(kekId: string): Buffer }

/** A table of wrapped keys: what rotation has to know of it. Both work inside the caller's transaction. */
export type WrappedKeys = {
  /** As events and status call it. */
  holder: string
  table: string
  /** At most `limit` that this key does not wrap, all wrapped by one and the same, locked, in a fixed order. */
  outdated(on: Connection, active: string, limit: number, except: readonly string[]): Promise<WrappedKey[]>
  replace(on: Connection, key: string, by: { kekId: string; wrapped: Buffer }): Promise<void>
}

/** Rows that the given key does not wrap, those of one other key at a time; each part finds its rows by an index. */
const outdatedSql = (table: string, key: string, columns: string) => `
  select ${columns} from vault.${table}
  where ${key}::text <> all($3) and kek_id = (
    (select kek_id from vault.${table} where kek_id < $1 and ${key}::text <> all($3) limit 1) union all
    (select kek_id from vault.${table} where kek_id > $1 and ${key}::text <> all($3) limit 1) limit 1)
  order by ${key} limit $2 for update`

type SecretRow = {
  seal_id: string
  credential_id: string
  version: number
  format: number
  sealed_kek_id: string
  kek_id: string
  wrapped_dek: Buffer
}

/** Data keys of sealed secrets. Only the wrapping changes: the ciphertext, bound to its first key's name, stays. */
const secrets: WrappedKeys = {
  holder: 'credential',
  table: 'secret',
  outdated: async (on, active, limit, except) => {
    const columns = 'seal_id, credential_id, version, format, sealed_kek_id, kek_id, wrapped_dek'
    const { rows } = await on.query<SecretRow>(outdatedSql('secret', 'seal_id', columns), [active, limit, except])
    return rows.map(row => {
      const head = { sealId: row.seal_id, credentialId: row.credential_id, version: row.version, format: row.format }
      return {
        ...{ key: row.seal_id, kekId: row.kek_id, wrapped: row.wrapped_dek },
        aad: kekId => dekAad({ ...head, sealedKekId: row.sealed_kek_id, kekId }),
      }
    })
  },
  replace: async (on, key, { kekId, wrapped }) => {
    await on.query('update vault.secret set kek_id = $2, wrapped_dek = $3 where seal_id = $1', [key, kekId, wrapped])
  },
}

const ownKeys: WrappedKeys = {
  holder: 'own-key',
  table: 'own_key',
  outdated: async (on, active, limit, except) => {
    const { rows } = await on.query<{ name: string; kek_id: string; wrapped: Buffer }>(
      outdatedSql('own_key', 'name', 'name, kek_id, wrapped'),
      [active, limit, except],
    )
    return rows.map(({ name, kek_id, wrapped }) => ({
      ...{ key: name, kekId: kek_id, wrapped },
      aad: kekId => ownKeyAad(name, kekId),
    }))
  },
  replace: async (on, key, { kekId, wrapped }) => {
    await on.query('update vault.own_key set kek_id = $2, wrapped = $3 where name = $1', [key, kekId, wrapped])
  },
}

/** Data keys of people. One that was destroyed is wrapped by nothing. */
const subjectKeys: WrappedKeys = {
  holder: 'person',
  table: 'subject',
  outdated: async (on, active, limit, except) => {
    const { rows } = await on.query<{ user_id: string; kek_id: string; wrapped_dek: Buffer }>(
      outdatedSql('subject', 'user_id', 'user_id, kek_id, wrapped_dek'),
      [active, limit, except],
    )
    return rows.map(row => ({
      ...{ key: row.user_id, kekId: row.kek_id, wrapped: row.wrapped_dek },
      aad: kekId => subjectKeyAad(row.user_id, kekId),
    }))
  },
  replace: async (on, key, { kekId, wrapped }) => {
    await on.query('update vault.subject set kek_id = $2, wrapped_dek = $3 where user_id = $1', [key, kekId, wrapped])
  },
}

const signingKeys: WrappedKeys = {
  holder: 'signing-key',
  table: 'signing_key',
  outdated: async (on, active, limit, except) => {
    const { rows } = await on.query<{ kid: string; kek_id: string; wrapped: Buffer }>(
      outdatedSql('signing_key', 'kid', 'kid, kek_id, wrapped'),
      [active, limit, except],
    )
    return rows.map(({ kid, kek_id: kekId, wrapped }) => ({
      ...{ key: kid, kekId, wrapped },
      aad: of => signingKeyAad(kid, of),
    }))
  },
  replace: async (on, key, { kekId, wrapped }) => {
    await on.query('update vault.signing_key set kek_id = $2, wrapped = $3 where kid = $1', [key, kekId, wrapped])
  },
}

/** Everything that key-encryption keys wrap. Whoever adds a table with a `kek_id` to the vault adds it here. */
export const wrappedKeys: readonly WrappedKeys[] = [ownKeys, secrets, subjectKeys, signingKeys]
