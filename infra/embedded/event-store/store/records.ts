import { readHeader } from '../wire/recorded-event.ts'
import { DamagedStore } from './errors.ts'
import { streamRow, type Tables, unseal } from './tables.ts'

/** What a full pass over the records found. */
export type RecordCheck = { events: number; streams: number; end: number; problems: string[] }

const MAX_PROBLEMS = 100

/**
 * Checks every event against its seal, its neighbours and the index, and every stream for gaps. Answers the problems
 * instead of throwing, at most a hundred of them.
 */
export function checkRecords(tables: Tables): RecordCheck {
  const check: RecordCheck = { events: 0, streams: 0, end: 0, problems: [] }
  attempt(check, () => {
    for (const { key, value } of tables.events.getRange({})) {
      if (key !== check.end) report(check, `the event at position ${check.end} is missing`)
      check.end = key + value.length
      check.events++
      attempt(check, () => checkEvent(tables, key, value))
    }
  })
  attempt(check, () => checkStreams(tables, check))
  return check
}

function checkEvent(tables: Tables, position: number, sealed: Buffer): void {
  const { stream, revision, position: recorded } = readHeader(unseal(sealed, position))
  if (recorded !== position) throw new DamagedStore(`the event at position ${position} belongs at ${recorded}`)
  const row = streamRow(tables, stream)
  if (!row) throw new DamagedStore(`stream ${stream} of the event at position ${position} is unknown`)
  if (row.tombstone === position) return
  if (tables.index.get([row.number, revision]) !== position) {
    throw new DamagedStore(`the index does not lead to revision ${revision} of stream ${stream}`)
  }
}

function checkStreams(tables: Tables, check: RecordCheck): void {
  let indexed = 0
  let tombstones = 0
  for (const { key: name, value: row } of tables.streams.getRange({})) {
    check.streams++
    if (row.tombstone !== undefined) tombstones++
    let revision = 0
    for (const [, found] of tables.index.getKeys({ start: [row.number, -1], end: [row.number + 1, -1] })) {
      if (found !== revision) report(check, `stream ${name} has no revision ${revision}`)
      revision = found + 1
      indexed++
    }
  }
  if (indexed + tombstones !== check.events) {
    report(check, `${check.events} events are stored but ${indexed + tombstones} are known to a stream`)
  }
}

function attempt(check: RecordCheck, action: () => void): void {
  try {
    action()
  } catch (error) {
    report(check, error instanceof Error ? error.message : String(error))
  }
}

function report(check: RecordCheck, problem: string): void {
  if (check.problems.length < MAX_PROBLEMS) check.problems.push(problem)
}
