import type { z } from 'zod'
import type { executorPresence } from '../schemas/executor.ts'
import type { Query } from './reader.ts'

type Presence = z.output<typeof executorPresence>
type Row = { executor_id: string; last_seen: string; capacity: number; busy: number }

const unheard: Presence = { lastSeen: null, capacity: null, busy: null }

/** What the reactors last heard of these executors. Not a read model: it is told now, never as of a moment. */
export async function presenceOf(db: Query, executorIds: readonly string[]): Promise<(id: string) => Presence> {
  const rows = await db<Row>(
    'select executor_id, last_seen, capacity, busy from reactors.executor_presence where executor_id = any($1)',
    [executorIds],
  )
  const known = new Map(rows.map(row => [row.executor_id, row]))
  return id => {
    const row = known.get(id)
    return row ? { lastSeen: row.last_seen, capacity: row.capacity, busy: row.busy } : unheard
  }
}
