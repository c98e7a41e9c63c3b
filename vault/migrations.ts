import type { Migration } from '../infra/postgres.ts'
import { signInMigrations } from './sign-in/migrations.ts'

/**
 * The vault's own tables, in a schema that no projector touches: what is in here cannot be rebuilt from the log.
 * Written so that tables restored from a backup are taken as they are. What has shipped is never edited.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'vault-001-secrets',
    sql: `create schema if not exists vault;
create table if not exists vault.kek (
  kek_id text primary key,
  check_value bytea not null,
  created_at timestamptz not null
);
create table if not exists vault.own_key (
  name text primary key,
  kek_id text not null references vault.kek,
  wrapped bytea not null,
  created_at timestamptz not null
);
create table if not exists vault.secret (
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
create index if not exists secret_kek on vault.secret (kek_id);
`,
  },
  {
    name: 'vault-002-rotation',
    sql: `create index if not exists secret_kek_seal on vault.secret (kek_id, seal_id);
drop index if exists vault.secret_kek;
`,
  },
  ...signInMigrations,
]
