import type { Migration } from '../../infra/postgres.ts'

/** What signing in needs: people and what they sign in with, each sealed under a key of their own. */
export const signInMigrations: readonly Migration[] = [
  {
    name: 'vault-sign-in-001',
    sql: `create table if not exists vault.subject (
  user_id uuid primary key,
  kek_id text references vault.kek,
  wrapped_dek bytea,
  login_index text unique,
  profile bytea,
  certificate jsonb,
  created_at timestamptz not null
);
create index if not exists subject_kek on vault.subject (kek_id);
create table if not exists vault.verifier (
  verifier_id uuid primary key,
  user_id uuid not null references vault.subject,
  sealed bytea not null,
  active boolean not null default false,
  created_at timestamptz not null
);
create index if not exists verifier_user on vault.verifier (user_id);
create table if not exists vault.totp (
  factor_id uuid primary key,
  user_id uuid not null references vault.subject,
  sealed bytea not null,
  last_step bigint not null default -1,
  created_at timestamptz not null
);
create index if not exists totp_user on vault.totp (user_id);
create table if not exists vault.recovery_code (
  set_id uuid not null,
  code_digest text not null,
  user_id uuid not null references vault.subject,
  used_at timestamptz,
  primary key (set_id, code_digest)
);
create index if not exists recovery_code_user on vault.recovery_code (user_id);
create table if not exists vault.familiar_address (
  user_id uuid not null references vault.subject,
  address_index text not null,
  seen_at timestamptz not null,
  primary key (user_id, address_index)
);
create table if not exists vault.sign_in_attempt (
  bucket text primary key,
  tries timestamptz[] not null,
  last_at timestamptz not null
);
create index if not exists sign_in_attempt_last on vault.sign_in_attempt (last_at);
create table if not exists vault.signing_key (
  kid text primary key,
  purpose text not null,
  kek_id text not null references vault.kek,
  wrapped bytea not null,
  public_key text not null,
  created_at timestamptz not null
);
`,
  },
  {
    name: 'vault-sign-in-002',
    sql: 'alter table vault.subject add column if not exists external_index text unique;\n',
  },
  {
    name: 'vault-sign-in-003',
    sql: `create table if not exists vault.begun_taken (
  begun_id text primary key,
  until timestamptz not null
);
create index if not exists begun_taken_until on vault.begun_taken (until);
`,
  },
]
