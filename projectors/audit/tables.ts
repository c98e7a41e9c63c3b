import type { State } from '../diff.ts'
import { defineTable } from '../table.ts'

export type Outcome = 'success' | 'failure' | 'denied'

/** One event as a reviewer reads it. */
export type AuditRow = {
  commit: string
  prepare: string
  /** Log time: never runs backwards along the positions. */
  time: string
  stream: string
  revision: string
  eventId: string
  type: string
  schemaVersion: number
  at: string
  recordedAt: string
  actorKind: string
  actorId: string
  actor: State
  action: string
  resourceType: string
  resourceId: string
  resourceName: string | null
  runId: string | null
  before: Record<string, unknown>
  after: Record<string, unknown>
  outcome: Outcome
  reasonCode: string | null
  correlationId: string
  causationId: string
  commandId: string
  origin: State
  justification: string | null
  ticket: string | null
  data: State
}

export const audit = defineTable<AuditRow>('audit', ['commit', 'prepare'], {
  commit: 'bigint',
  prepare: 'bigint',
  time: 'timestamptz',
  stream: 'text',
  revision: 'bigint',
  eventId: 'uuid',
  type: 'text',
  schemaVersion: 'int',
  at: 'timestamptz',
  recordedAt: 'timestamptz',
  actorKind: 'text',
  actorId: 'text',
  actor: 'json',
  action: 'text',
  resourceType: 'text',
  resourceId: 'text',
  resourceName: 'text',
  runId: 'uuid',
  before: 'json',
  after: 'json',
  outcome: 'text',
  reasonCode: 'text',
  correlationId: 'uuid',
  causationId: 'uuid',
  commandId: 'uuid',
  origin: 'json',
  justification: 'text',
  ticket: 'text',
  data: 'json',
})

/** What the ledger itself has to remember: how things were before, and what they were called. */
export type AuditSubject = { type: string; id: string; name: string | null; state: State }

export const auditSubject = defineTable<AuditSubject>('audit_subject', ['type', 'id'], {
  type: 'text',
  id: 'text',
  name: 'text',
  state: 'json',
})

export const auditIndexes = `
  create index on audit (time, commit);
  create index on audit (type, commit);
  create index on audit (action, commit);
  create index on audit (actor_id, commit);
  create index on audit (resource_type, resource_id, commit);
  create index on audit (run_id, commit) where run_id is not null;
  create index on audit (correlation_id, commit);
`
