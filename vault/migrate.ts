import { inTransaction, type Pool } from '../infra/postgres.ts'

/** One string per version, applied in order, once. A version that has shipped is never edited. */
const versions: readonly string[] = [
  `
  create table vault.kek (
    kek_id text primary key,
    check_value bytea not null,
    created_at timestamptz not null
  );
  create table vault.own_key (
    name text primary key,
    kek_id text not null references vault.kek,
    wrapped bytea not null,
    created_at timestamptz not null
  );
  create table vault.secret (
    seal_id uuid primary key,
    credential_id uuid not null,
    version integer not null check (version > 0),
    format smallint not null,
    fingerprint text not null,
    sealed_kek_id text not null references vault.kek,
    kek_id text not null references vault.kek,
    wrapped_dek bytea not null,
    iv bytea not null,
    ciphertext bytea not null,
    tag bytea not null,
    created_at timestamptz not null,
    unique (credential_id, version, fingerprint)
  );
  create index secret_kek on vault.secret (kek_id);
  `,
]

/** Any number: it only has to differ from the application's other advisory locks. */
const LOCK = 0x7661756c

/** Brings the schema `vault` to this program's version. Throws when a newer program has been here. */
export async function migrate(pool: Pool, now: string): Promise<void> {
  await inTransaction(pool, async connection => {
    await connection.query('select pg_advisory_xact_lock($1)', [LOCK])
    await connection.query('create schema if not exists vault')
    await connection.query(
      'create table if not exists vault.migration (version integer primary key, applied_at timestamptz not null)',
    )
    const { rows } = await connection.query('select coalesce(max(version), 0) as version from vault.migration')
    const current = Number(rows[0]?.version)
    if (current > versions.length) {
      throw new Error(`the vault's tables are at version ${current}; this program knows ${versions.length}`)
    }
    for (const [index, sql] of versions.entries()) {
      if (index < current) continue
      await connection.query(sql)
      await connection.query('insert into vault.migration values ($1, $2)', [index + 1, now])
    }
  })
}
