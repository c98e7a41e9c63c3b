import type { Recorded } from '../../schemas/events.ts'
import { diff } from '../diff.ts'
import { type Fact, PoisonEvent, type Projection } from '../projection.ts'
import { reasonOf } from '../reason.ts'
import { Recent } from '../recent.ts'
import { insertRows, upsertRows } from '../table.ts'
import { loadWanted, WorkingRows } from '../working-rows.ts'
import { outcomeOf } from './outcome.ts'
import { type Subject, subjectOf } from './subject.ts'
import { type AuditRow, type AuditSubject, audit, auditSubject } from './tables.ts'

const bySubject = ({ type, id }: Partial<AuditSubject>) => `${type} ${id}`

/**
 * The ledger: one row per event, none skipped. It keeps what it needs to say what changed in a table of its own, so
 * that it depends on no other projection; a row it cannot write stops it.
 */
export const auditProjection: Projection = {
  name: 'audit',
  onPoison: 'halt',
  begin() {
    const recent = new Recent<AuditSubject>()
    return async (facts, read) => {
      const known = new WorkingRows<AuditSubject>(bySubject, recent)
      const described = facts.map(fact => ({ fact, subject: describe(fact.event, known) }))
      await loadWanted(known, auditSubject, read)
      const rows = described.map(({ fact, subject }) => row(fact, subject, known))
      const statements = [...insertRows(audit, rows), ...upsertRows(auditSubject, known.changed())]
      return { statements, runIds: [], keep: () => known.keep() }
    }
  },
}

/** What an event is about, asking for what is known of that; a stream's first event makes it. */
function describe(event: Recorded, known: WorkingRows<AuditSubject>): Subject {
  try {
    const subject = subjectOf(event)
    const { type, id, evolve, namedBy } = subject
    if (evolve && event.revision === 0n) known.created({ type, id })
    else if (evolve) known.want({ type, id })
    if (namedBy) known.want(namedBy)
    return subject
  } catch (error) {
    throw new PoisonEvent(event, error)
  }
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
