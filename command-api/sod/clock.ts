import { type AccessState, newlyOrphaned, principalKey } from '../../infra/access.ts'
import type { Clock } from '../../infra/clock.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { PrincipalRef } from '../../schemas/access.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { Dispatcher } from '../dispatch.ts'

type Deps = { dispatcher: Dispatcher; access: { readonly state: AccessState }; clock: Clock; log: Log }

const EVERY_MS = 1_000

/** Records what has ended already: rights whose time is over, keys and accounts whose owners may not act any more. */
export function createAccessClock(deps: Deps): { stop(): Promise<void> } {
  const told = new Set<string>()
  let working: Promise<unknown> = Promise.resolve()
  let busy = false
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    working = Promise.all([endOverdue(deps), tellStopped(deps, told), tellOrphaned(deps)]).finally(() => {
      busy = false
    })
  }, EVERY_MS)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await working
    },
  }
}

/** Several processes may do this at once: the decision is the same, and the second one records nothing. */
export async function endOverdue({ dispatcher, access, clock, log }: Deps): Promise<void> {
  const at = clock.now()
  const isOver = (until: string | null) => until !== null && Date.parse(until) <= Date.parse(at)
  const record = async (command: string, id: string, dispatch: (meta: Meta) => Promise<unknown>) =>
    await dispatch(byClock(derivedId(command, id), id, at)).catch(err =>
      log.warn({ err, command, id }, 'the end of rights is not recorded yet; they are over all the same'),
    )
  for (const { breakGlassId, status, until } of access.state.rows.breakglass.values()) {
    if (status !== 'active' || !isOver(until)) continue
    const command = { type: 'expire-break-glass', data: { breakGlassId } } as const
    await record(command.type, breakGlassId, meta =>
      dispatcher.dispatch('breakGlass', command, { meta, facts: undefined }),
    )
  }
  for (const { grantId, status, expiresAt } of access.state.rows.grant.values()) {
    if (status !== 'active' || !isOver(expiresAt)) continue
    const command = { type: 'expire-grant', data: { grantId } } as const
    await record(command.type, grantId, meta => dispatcher.dispatch('grant', command, { meta, facts: undefined }))
  }
}

/** A key that stopped with its owner is told of by name: whatever used it stands still now. `told`: those that were. */
export async function tellStopped({ dispatcher, access, clock, log }: Deps, told: Set<string>): Promise<void> {
  const { principals } = access.state
  for (const [key, { active, owner }] of principals) {
    if (!active || !owner || told.has(key) || principals.get(principalKey(owner))?.active !== false) continue
    const keyId = key.slice(key.indexOf(':') + 1)
    const command = { type: 'tell-api-key-stopped', data: { keyId, owner: ownerOf(owner) } } as const
    const meta = byClock(derivedId('tell-api-key-stopped', keyId), keyId, clock.now())
    try {
      const { events } = await dispatcher.dispatch('apiKey', command, { meta, facts: {} })
      if (events.length > 0) log.warn({ keyId, owner: owner.id }, 'an API key has stopped with its owner')
      told.add(key)
    } catch (err) {
      log.warn({ err, keyId }, 'that an API key has stopped is not recorded yet')
    }
  }
}

/** A service account goes on without its owner, and is told of by name: somebody has to answer for it. */
export async function tellOrphaned({ dispatcher, access, clock, log }: Deps): Promise<void> {
  const { state } = access
  for (const data of newlyOrphaned(state)) {
    const { serviceAccountId, owner } = data
    const command = { type: 'tell-service-account-orphaned', data } as const
    // It may happen to the same account again, with another owner or the same.
    const revision = state.revisions.get(streams.serviceAccount(serviceAccountId))
    const meta = byClock(derivedId(command.type, serviceAccountId, String(revision)), serviceAccountId, clock.now())
    try {
      const { events } = await dispatcher.dispatch('serviceAccount', command, { meta, facts: {} })
      if (events.length > 0) log.warn({ serviceAccountId, owner }, 'nobody answers for a service account any more')
    } catch (err) {
      log.warn({ err, serviceAccountId }, 'that nobody answers for a service account is not recorded yet')
    }
  }
}

/** Only users and service accounts own keys. */
const ownerOf = ({ kind, id }: PrincipalRef) =>
  kind === 'service-account' ? { kind, id } : ({ kind: 'user', id } as const)

const byClock = (commandId: string, about: string, at: string): Meta => ({
  ...{ commandId, $correlationId: about, $causationId: about, at },
  ...{ actor: { kind: 'system', id: 'clock' }, origin: { channel: 'system' } },
})
