import type { Recorded } from '../../schemas/events.ts'
import { diff } from '../diff.ts'
import { type Fact, PoisonEvent, type Projection, type Read } from '../projection.ts'
import { reasonOf } from '../reason.ts'
import { insertRows, selectRows, upsertRows } from '../table.ts'
import { WorkingRows } from '../working-rows.ts'
import { outcomeOf } from './outcome.ts'
import { type Subject, type SubjectKey, subjectOf } from './subject.ts'
import { type AuditRow, type AuditSubject, audit, auditSubject } from './tables.ts'

/**
 * The ledger: one row per event, none skipped. It keeps what it needs to say what changed in a table of its own, so
 * that it depends on no other projection; a row it cannot write stops it.
 */
export const auditProjection: Projection = {
  name: 'audit',
  onPoison: 'halt',
  async apply(facts, read) {
    const subjects = facts.map(fact => described(fact.event))
    const known = await load(subjects, read)
    const rows = facts.map((fact, i) => row(fact, subjects[i] ?? subjectOf(fact.event), known))
    return { statements: [...insertRows(audit, rows), ...upsertRows(auditSubject, known.changed())], runIds: [] }
  },
}

function described(event: Recorded): Subject {
  try {
    return subjectOf(event)
  } catch (error) {
    throw new PoisonEvent(event, error)
  }
}

async function load(subjects: readonly Subject[], read: Read): Promise<WorkingRows<AuditSubject>> {
  const keys = new WorkingRows<SubjectKey>(['type', 'id'])
  for (const { type, id, evolve, namedBy } of subjects) {
    if (evolve) keys.put({ type, id })
    if (namedBy) keys.put(namedBy)
  }
  const known = new WorkingRows<AuditSubject>(['type', 'id'])
  if (keys.all().length > 0) known.loaded(await read(selectRows(auditSubject, ['type', 'id'], keys.all())))
  return known
}

function row({ event, time }: Fact, subject: Subject, known: WorkingRows<AuditSubject>): AuditRow {
  const { metadata } = event
  const { name, before, after } = change(event, subject, known)
  return {
    commit: event.position.commit.toString(),
    prepare: event.position.prepare.toString(),
    time,
    stream: event.stream,
    revision: event.revision.toString(),
    eventId: event.id,
    type: event.type,
    schemaVersion: metadata.schemaVersion,
    at: metadata.at,
    recordedAt: event.recordedAt,
    actorKind: metadata.actor.kind,
    actorId: metadata.actor.id,
    actor: metadata.actor,
    action: metadata.command ?? event.type,
    resourceType: subject.type,
    resourceId: subject.id,
    resourceName: name,
    runId: subject.runId,
    before,
    after,
    ...outcomeOf(event),
    correlationId: metadata.$correlationId,
    causationId: metadata.$causationId,
    commandId: metadata.commandId,
    origin: metadata.origin,
    justification: reasonOf(event),
    ticket: metadata.ticket ?? null,
    data: event.data,
  }
}

/** What changed, and the name as it was then: that of before, unless the event gives the first one. */
function change(event: Recorded, subject: Subject, known: WorkingRows<AuditSubject>) {
  const { type, id, evolve, namedBy } = subject
  const lent = namedBy && (known.get(namedBy)?.name ?? null)
  if (!evolve) return { name: lent ?? null, before: {}, after: {} }
  try {
    const old = known.get({ type, id })
    const next = evolve(old)
    const name = next.name ?? lent ?? null
    known.put({ type, id, name, state: next.state })
    const { before, after } = diff(old?.state, next.state)
    return { name: old?.name ?? name, before, after }
  } catch (error) {
    throw new PoisonEvent(event, error)
  }
}
