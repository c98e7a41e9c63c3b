import { z } from 'zod'
import { instant } from '../../../schemas/kernel.ts'
import { createLog } from '../../log.ts'
import { createPool, type Pool } from '../../postgres.ts'
import type { Database } from './facts.ts'

const ASKS = 3
const MOST = 100
const enrolled = z.object({ executorId: z.string(), protocol: z.int() })
const ownerless = z.object({ id: z.string(), name: z.string(), lost: z.boolean() })
const expiring = z.object({ kind: z.string(), id: z.string(), name: z.string(), at: instant })

/** What the read models and the clock of the database say; `unreachable` when it does not answer. Changes nothing. */
export async function askDatabase(url: string): Promise<Database | 'unreachable'> {
  const pool = createPool(url, createLog('doctor', 'silent'), { max: 1, name: 'opsconductor doctor' })
  try {
    const driftMs = await drift(pool)
    const known = await pool.query(`select to_regclass('read_model.resource_version') is not null as known`)
    if (!known.rows[0]?.known) return { driftMs, ...nothing }
    return { driftMs, ...(await resources(pool)) }
  } catch {
    return 'unreachable'
  } finally {
    await pool.end()
  }
}

const nothing = {
  ...{ administrators: 0, withoutSecondFactor: [], firstUse: { trusted: 0, targets: 0 } },
  ...{ executors: [], ownerless: [], expiring: [] },
}

/** Of several measurements the one that took the shortest way: its error is half of that at most. */
async function drift(pool: Pool): Promise<number> {
  let best = { took: Number.POSITIVE_INFINITY, ahead: 0 }
  for (let ask = 0; ask < ASKS; ask += 1) {
    const before = Date.now()
    const { rows } = await pool.query('select extract(epoch from clock_timestamp()) * 1000 as now')
    const after = Date.now()
    const took = after - before
    if (took < best.took) best = { took, ahead: (before + after) / 2 - Number(rows[0]?.now) }
  }
  return Math.round(best.ahead)
}

async function resources(pool: Pool): Promise<Omit<Database, 'driftMs'>> {
  const now = `from read_model.resource_version where valid_to is null`
  const [grants, people, targets, executors, accounts, dated] = await Promise.all([
    pool.query(`select count(*)::int as count ${now} and kind = 'grant' and status = 'active'
      and state->>'role' = 'administrator' and state->'principal'->>'kind' in ('user', 'group')`),
    pool.query(WITHOUT_SECOND_FACTOR),
    pool.query(`select count(*)::int as targets, count(*) filter (where state->>'hostKeyPolicy' = 'first-use'
      and state->>'hostKeySource' is distinct from 'pinned')::int as trusted ${now} and kind = 'target' and status = 'active'`),
    pool.query(`select id as "executorId", (state->>'protocol')::int as protocol ${now} and kind = 'executor'
      and status in ('enrolled', 'draining') and state->>'protocol' is not null order by id limit ${MOST}`),
    pool.query(`select id, name, state->>'owner' is not null as lost ${now} and kind = 'serviceaccount'
      and status = 'active' and state->>'ownerless' = 'true' order by name, id limit ${MOST}`),
    pool.query(`select kind, id, coalesce(state->>'name', id) as name, state->>'expiresAt' as at ${now}
      and kind in ('apikey', 'grant', 'credential') and status = 'active' and state->>'expiresAt' is not null
      order by state->>'expiresAt' limit ${MOST}`),
  ])
  return {
    administrators: Number(grants.rows[0]?.count ?? 0),
    withoutSecondFactor: z
      .array(z.object({ id: z.string() }))
      .parse(people.rows)
      .map(({ id }) => id),
    firstUse: z.object({ trusted: z.int(), targets: z.int() }).parse(targets.rows[0]),
    executors: z.array(enrolled).parse(executors.rows),
    ownerless: z.array(ownerless).parse(accounts.rows),
    expiring: z.array(expiring).parse(dated.rows),
  }
}

/** Who is an administrator by themselves or in a group, can sign in, and needs no more than a passphrase for it. */
const WITHOUT_SECOND_FACTOR = `
  with now as (select * from read_model.resource_version where valid_to is null),
    granted as (select state->'principal' as who from now where kind = 'grant' and status = 'active'
      and state->>'role' = 'administrator'),
    people as (select who->>'id' as id from granted where who->>'kind' = 'user'
      union select member->>'id' from granted join now on now.kind = 'group' and now.id = who->>'id'
        cross join lateral jsonb_array_elements(now.state->'members') member
      where who->>'kind' = 'group' and member->>'kind' = 'user')
  select now.id from people join now on now.kind = 'user' and now.id = people.id
  where now.status = 'active' and now.state->>'secondFactor' = 'false' order by now.id limit ${MOST}`
