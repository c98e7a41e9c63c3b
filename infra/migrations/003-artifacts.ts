/**
 * Files that steps fetch and write, each under its SHA-256, in chunks of one length. Not a read model: they are nowhere
 * else. Chunks belong to the upload they came by, which is `artifact.upload_id` once the whole was checked; until then
 * `artifact_upload` says whose it is.
 */
export const artifacts = {
  name: '003-artifacts',
  sql: `
    create schema artifacts;
    create table artifacts.artifact (
      sha256 text primary key check (sha256 ~ '^[0-9a-f]{64}$'),
      upload_id uuid not null unique,
      bytes bigint not null,
      created_at timestamptz not null,
      last_used timestamptz not null
    );
    create index on artifacts.artifact (last_used);
    create table artifacts.artifact_upload (
      upload_id uuid primary key,
      owner text not null,
      bytes bigint not null default 0,
      started_at timestamptz not null
    );
    create table artifacts.artifact_chunk (
      upload_id uuid not null,
      index int not null,
      data bytea not null,
      primary key (upload_id, index)
    );
    alter table artifacts.artifact_chunk alter column data set storage external;
  `,
} as const
