import { z } from 'zod'
import { actorSchema, id, instant, originSchema } from '../schemas/kernel.ts'
import { formatPosition } from '../schemas/position.ts'
import type { Conditions } from './paging.ts'

/** An event as a reviewer reads it. */
export const auditRecord = z.object({
  position: z.string(),
  at: instant,
  recordedAt: instant,
  type: z.string(),
  stream: z.string(),
  revision: z.string(),
  eventId: id,
  actor: actorSchema,
  action: z.string(),
  resource: z.object({ type: z.string(), id: z.string(), name: z.string().nullable() }),
  runId: id.nullable(),
  before: z.record(z.string(), z.unknown()),
  after: z.record(z.string(), z.unknown()),
  outcome: z.enum(['success', 'failure', 'denied']),
  reasonCode: z.string().nullable(),
  correlationId: id,
  causationId: id,
  commandId: id,
  origin: originSchema,
  justification: z.string().nullable(),
  ticket: z.string().nullable(),
})

export type AuditDbRow = Record<string, unknown> & { commit: string; prepare: string }
export const auditColumns = `commit, prepare, at, recorded_at, type, stream, revision, event_id, actor, action,
  resource_type, resource_id, resource_name, run_id, before, after, outcome, reason_code, correlation_id, causation_id,
  command_id, origin, justification, ticket`

export const positionOf = ({ commit, prepare }: { commit: string; prepare: string }) => ({
  commit: BigInt(commit),
  prepare: BigInt(prepare),
})

export const auditView = (row: AuditDbRow) => ({
  position: formatPosition(positionOf(row)),
  at: row.at,
  recordedAt: row.recorded_at,
  type: row.type,
  stream: row.stream,
  revision: row.revision,
  eventId: row.event_id,
  actor: row.actor,
  action: row.action,
  resource: { type: row.resource_type, id: row.resource_id, name: row.resource_name },
  runId: row.run_id,
  before: row.before,
  after: row.after,
  outcome: row.outcome,
  reasonCode: row.reason_code,
  correlationId: row.correlation_id,
  causationId: row.causation_id,
  commandId: row.command_id,
  origin: row.origin,
  justification: row.justification,
  ticket: row.ticket,
})

const text = z.string().min(1).max(200).optional()
/** What audit records can be filtered by, alone or together. */
export const auditFilters = {
  actor: text.describe('Id of who did it'),
  actorKind: actorSchema.shape.kind.optional(),
  action: text.describe('Name of the command, for example create-target'),
  type: text.describe('Event type, for example TargetRegistered'),
  resourceType: text.describe('target, credential, job, run, target-run, executor, artifact or command'),
  resourceId: text,
  runId: id.optional().describe('Everything that happened in a run'),
  outcome: auditRecord.shape.outcome.optional(),
  correlationId: id.optional(),
}
const schema = z.strictObject(auditFilters)
export type AuditFilters = z.output<typeof schema>

const columns: Readonly<Record<keyof AuditFilters, string>> = {
  actor: 'actor_id',
  actorKind: 'actor_kind',
  action: 'action',
  type: 'type',
  resourceType: 'resource_type',
  resourceId: 'resource_id',
  runId: 'run_id',
  outcome: 'outcome',
  correlationId: 'correlation_id',
}

export function matchAudit(conditions: Conditions, filters: AuditFilters): void {
  for (const [name, column] of Object.entries(columns)) {
    const value = filters[name as keyof AuditFilters]
    if (value !== undefined) conditions.add(`${column} = ?`, value)
  }
}
