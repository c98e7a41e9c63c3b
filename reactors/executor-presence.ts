import type { Pool } from '../infra/postgres.ts'
import type { Presence } from './fleet.ts'

/** Shows when executors were last heard of. Lost with Postgres, and told anew by the next heartbeats. */
export async function storePresence(pool: Pool, heard: readonly Presence[]): Promise<void> {
  if (heard.length === 0) return
  const column = <K extends keyof Presence>(name: K) => heard.map(each => each[name])
  await pool.query(
    `insert into reactors.executor_presence (executor_id, last_seen, instance_id, capacity, busy)
     select * from unnest($1::text[], $2::timestamptz[], $3::uuid[], $4::int[], $5::int[])
     on conflict (executor_id) do update set last_seen = excluded.last_seen,
       instance_id = excluded.instance_id, capacity = excluded.capacity, busy = excluded.busy
       where executor_presence.last_seen <= excluded.last_seen`,
    [column('executorId'), column('lastSeen'), column('instanceId'), column('capacity'), column('busy')],
  )
}

const RECENT = "interval '1 hour'"
const MOST = 10_000

/** Those heard of in the last hour. */
export async function recentExecutors(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ executor_id: string }>(
    `select executor_id from reactors.executor_presence where last_seen > now() - ${RECENT}
     order by last_seen desc limit ${MOST}`,
  )
  return rows.map(row => row.executor_id)
}
