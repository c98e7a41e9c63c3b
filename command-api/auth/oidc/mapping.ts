import type { AccessState } from '../../../infra/access.ts'
import type { EventStore } from '../../../infra/event-store/port.ts'
import type { Request } from '../../../infra/http/index.ts'
import { streams } from '../../../schemas/events.ts'
import type { GrantRow } from '../../../schemas/grant.ts'
import type { Actor } from '../../../schemas/kernel.ts'
import { ProblemError } from '../../../schemas/problems.ts'
import { factsForGrant } from '../../access/grant-facts.ts'
import { checkGrant } from '../../sod/judge.ts'
import { type AuthDeps, metaFor } from '../deps.ts'
import type { OidcSettings, Vouched } from './provider.ts'

export type MappingDeps = AuthDeps & {
  store: Pick<EventStore, 'read'>
  access: { readonly state: AccessState; readonly live: boolean }
}
export const asMapping: Actor = { kind: 'system', id: 'oidc' }

/**
 * Makes the grants of somebody those that their groups say. Only what was granted here before is taken back.
 * A role that cannot be granted is left out, and told in the log of the process; rejects when one cannot be taken back.
 */
export async function matchGrants(
  deps: MappingDeps,
  request: Request,
  { userId, settings, groups }: { userId: string; settings: OidcSettings } & Pick<Vouched, 'groups'>,
): Promise<void> {
  // What is granted is not known before the log was read.
  if (!deps.access.live) throw new ProblemError('event-store-unavailable')
  const reason = `The OpenID provider ${settings.issuer}`
  const wanted = new Set(settings.roles.filter(({ group }) => groups.includes(group)).map(({ role }) => role))
  const held = await mappedGrants(deps, userId)
  const kept = new Set<string>()
  for (const { grantId, role } of held) {
    if (wanted.has(role) && !kept.has(role)) kept.add(role)
    else await revoke(deps, request, { grantId, reason })
  }
  for (const role of wanted) if (!kept.has(role)) await grant(deps, request, { userId, role, reason })
}

/** The grants that hold of this user and that nobody but the mapping has given. */
async function mappedGrants({ access, store }: MappingDeps, userId: string): Promise<GrantRow[]> {
  const rows = [...access.state.rows.grant.values()].filter(
    ({ principal, status }) => principal.kind === 'user' && principal.id === userId && status === 'active',
  )
  const mapped = await Promise.all(
    rows.map(async row => {
      const { events } = await store.read(streams.grant(row.grantId))
      const by = events[0]?.metadata.actor
      return by?.kind === asMapping.kind && by.id === asMapping.id ? row : []
    }),
  )
  return mapped.flat()
}

async function revoke(
  { dispatcher, ...deps }: MappingDeps,
  request: Request,
  data: { grantId: string; reason: string },
) {
  const meta = metaFor(deps, request, asMapping)
  await dispatcher.dispatch('grant', { type: 'revoke-role', data }, { meta, facts: undefined })
}

async function grant(
  deps: MappingDeps,
  request: Request,
  { userId, role, reason }: { userId: string; role: string; reason: string },
): Promise<void> {
  const principal = { kind: 'user' as const, id: userId }
  const data = { grantId: deps.ids.next(), principal, role, scope: { kind: 'everything' as const }, reason }
  const command = { type: 'grant-role' as const, data }
  const meta = metaFor(deps, request, asMapping)
  try {
    await checkGrant(deps, command, { status: 'absent' }, meta)
    const facts = await factsForGrant(deps, command)
    await deps.dispatcher.dispatch('grant', command, { meta, facts, isNew: true })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    deps.log.warn({ userId, role, code: error.code }, 'a role that a group is mapped to could not be granted')
  }
}
