import type { Holder } from '../../infra/http/index.ts'
import type { LogPosition } from '../../schemas/events.ts'
import { formatPosition } from '../../schemas/position.ts'
import { onlyPermittedRecords } from '../access/audit-rows.ts'
import { type AuditDbRow, type AuditFilters, auditColumns, auditView, matchAudit, positionOf } from '../audit-row.ts'
import { Conditions } from '../paging.ts'
import type { Reader } from '../reader.ts'
import type { EventStream } from './event-stream.ts'
import { Wake } from './wake.ts'

const ROWS_AT_ONCE = 200
const LOOK_AGAIN_MS = 1_000

/** Sends audit records that match as they are projected, from a position on, until the client is gone. */
export async function sendFeed(options: {
  reader: Reader
  client: EventStream
  filters: AuditFilters
  holder: Holder
  from: LogPosition
}): Promise<void> {
  const { reader, client, filters, holder } = options
  const wake = new Wake()
  const forget = reader.onProjected(() => wake.up())
  let from = options.from
  if (from.commit >= 0n) client.passed(formatPosition(from))
  try {
    while (!client.over.aborted) {
      const { rows, reached } = await next(reader, holder, filters, from)
      const last = rows.at(-1)
      // Without a full page everything up to the position reached has been looked at.
      from = rows.length === ROWS_AT_ONCE && last ? positionOf(last) : later(reached, from)
      await client.send(
        rows.map(row => ({ id: formatPosition(positionOf(row)), event: 'record', data: auditView(row) })),
      )
      if (from.commit >= 0n) client.passed(formatPosition(from))
      if (rows.length < ROWS_AT_ONCE) await wake.wait(LOOK_AGAIN_MS, client.over)
    }
  } finally {
    forget()
  }
}

async function next(reader: Reader, holder: Holder, filters: AuditFilters, from: LogPosition) {
  const conditions = new Conditions()
  matchAudit(conditions, filters)
  onlyPermittedRecords(conditions, holder)
  const commit = conditions.parameter(from.commit)
  conditions.add(`(commit, prepare) > (${commit}::bigint, ${conditions.parameter(from.prepare)}::bigint)`)
  const read = await reader.read('audit', undefined, query =>
    query<AuditDbRow>(
      `select ${auditColumns} from read_model.audit where ${conditions.text} order by commit, prepare limit ${ROWS_AT_ONCE}`,
      conditions.values,
    ),
  )
  return { rows: 'result' in read ? read.result : [], reached: read.position }
}

const later = (a: LogPosition, b: LogPosition) => (a.commit > b.commit ? a : b)
