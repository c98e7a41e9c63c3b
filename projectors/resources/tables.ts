import type { Actor } from '../../schemas/kernel.ts'
import type { State } from '../diff.ts'
import { defineTable } from '../table.ts'
import type { ResourceKind } from './evolve.ts'

/** One state of a target, credential, job or executor, from one event to the next. */
export type ResourceVersion = {
  kind: ResourceKind
  id: string
  revision: string
  state: State
  visible: boolean
  /** Commit position and log time of the event that made it, and of the one that ended it. */
  validFrom: string
  validFromTime: string
  validTo: string | null
  validToTime: string | null
  eventId: string
  eventType: string
  actor: Actor
  reason: string | null
  changed: string[]
}

export const resourceVersion = defineTable<ResourceVersion>('resource_version', ['kind', 'id', 'revision'], {
  kind: 'text',
  /** A UUID, except for executors, which have names. */
  id: 'text',
  revision: 'bigint',
  state: 'jsonb',
  visible: 'boolean',
  validFrom: 'bigint',
  validFromTime: 'timestamptz',
  validTo: 'bigint',
  validToTime: 'timestamptz',
  eventId: 'uuid',
  eventType: 'text',
  actor: 'json',
  reason: 'text',
  changed: 'jsonb',
})

export type PublishedJobVersion = {
  jobId: string
  version: number
  definition: State
  digest: string
  commit: string
  publishedAt: string
  actor: Actor
  reason: string | null
}

export const jobVersion = defineTable<PublishedJobVersion>('job_version', ['jobId', 'version'], {
  jobId: 'uuid',
  version: 'int',
  definition: 'json',
  digest: 'text',
  commit: 'bigint',
  publishedAt: 'timestamptz',
  actor: 'json',
  reason: 'text',
})

/** `labels`: the tags of a target as `key=value`, of which the database knows how common each is. */
export const resourceColumns = `
  create function labels_of(tags jsonb) returns text[] language sql immutable parallel safe as
    $$ select coalesce(array_agg(key || '=' || value), '{}') from jsonb_each_text(tags) $$;
  alter table resource_version alter column id type text collate "C";
  alter table resource_version add column name text collate "C" generated always as (state->>'name') stored;
  alter table resource_version add column status text generated always as (state->>'status') stored;
  alter table resource_version add column labels text[] generated always as (case kind when 'target' then labels_of(state->'tags') end) stored;
  create unique index on resource_version (kind, id) where valid_to is null;
`
export const resourceIndexes = `
  create index on resource_version (kind, name, id) where valid_to is null;
  create index on resource_version using gin (labels) where valid_to is null and kind = 'target';
  create index on resource_version (kind, valid_from, valid_to);
  create index on resource_version (kind, valid_from_time, valid_to_time);
`
