import { createStateCache } from '../command-api/dispatch/state-cache.ts'
import { createDispatcher } from '../command-api/dispatch.ts'
import type { Clock } from '../infra/clock.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { derivedId } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import type { Pool } from '../infra/postgres.ts'

type Deps = { store: EventStore; pool: Pool; clock: Clock; log: Log }

const LOOK_MS = 60_000
const HOUR_MS = 3_600_000
/** The longest warning, in the decider, and a day. */
const AHEAD_DAYS = 31

/** Has it told when credentials come near their end and when they reach it. */
export function watchExpiry(deps: Deps, everyMs = LOOK_MS): { stop(): Promise<void> } {
  let looking = Promise.resolve()
  const look = () => {
    looking = looking.then(() => noteExpiries(deps)).catch(err => deps.log.warn({ err }, 'expiries were not looked at'))
  }
  look()
  const timer = setInterval(look, everyMs)
  return {
    stop: async () => {
      clearInterval(timer)
      await looking
    },
  }
}

/** The read model only says which to look at; what there is to tell follows from the log, and is told once. */
export async function noteExpiries({ store, pool, clock }: Deps): Promise<void> {
  const dispatcher = createDispatcher({ store, clock, cache: createStateCache() })
  const at = clock.now()
  const { rows } = await pool.query<{ id: string; expires_at: string }>(
    `select id, state->>'expiresAt' as expires_at from read_model.resource_version
     where kind = 'credential' and valid_to is null and state->>'status' = 'active' and state->>'expired' = 'false'
       and (state->>'expiresAt')::timestamptz < $1::timestamptz + make_interval(days => $2)`,
    [at, AHEAD_DAYS],
  )
  for (const { id: credentialId, expires_at: expiresAt } of rows) {
    const hours = Math.ceil((Date.parse(expiresAt) - Date.parse(at)) / HOUR_MS)
    const commandId = derivedId('credential-expiry', credentialId, expiresAt, Math.max(hours, 0))
    const meta = {
      ...{ commandId, $correlationId: commandId, $causationId: commandId, at },
      actor: { kind: 'system' as const, id: 'expiry-watch' },
      origin: { channel: 'system' as const },
    }
    const command = { type: 'note-credential-expiry' as const, data: { credentialId } }
    await dispatcher.dispatch('credential', command, { meta, facts: {} })
  }
}
