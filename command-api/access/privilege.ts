import { type AccessState, administrators, lacking, lackingOf } from '../../infra/access.ts'
import type { Holder } from '../../infra/http/index.ts'
import type { Log } from '../../infra/log.ts'
import type { PrincipalRef } from '../../schemas/access.ts'
import { streams } from '../../schemas/events.ts'
import { builtInRoles, isBuiltInRole } from '../../schemas/permissions.ts'
import type { ParsedCommand } from '../decide.ts'
import type { Dispatcher } from '../dispatch.ts'
import type { CommandOf } from '../domain/index.ts'
import { Denied } from './denied.ts'

export type PrivilegeDeps = { dispatcher: Dispatcher; access: { readonly state: AccessState }; log: Log }

/** Nobody gives what they do not have: not by a grant, a role, a group, or by becoming somebody else. Throws Denied. */
export async function checkPrivilege(
  { dispatcher, access, log }: PrivilegeDeps,
  holder: Holder,
  { decides, name, data }: ParsedCommand,
): Promise<void> {
  const refuse = (missing: string | undefined) => {
    if (missing !== undefined) throw new Denied(`nobody gives what they do not hold: ${missing}`)
  }
  // The schema of each name has made `data` what the casts below say.
  const command: unknown = { type: name, data }
  if (decides === 'grant') {
    const grant = command as CommandOf<'grant'>
    if (grant.type === 'grant-role') refuse(lacking(holder, await given({ dispatcher }, grant.data)))
    if (grant.type === 'revoke-role') warnOfLast(access.state, log, grant.data.grantId)
  }
  if (decides === 'role') {
    const role = command as CommandOf<'role'>
    if (role.type !== 'retire-role') refuse(lacking(holder, { ...forEver, permissions: role.data.permissions }))
  }
  if (decides === 'group' && name === 'add-to-group')
    refuse(lackingOf(holder, access.state, { kind: 'group', id: String(data.groupId) }))
  const other = somebodyElse(holder, command as { type: string; data: Record<string, unknown> })
  if (other) refuse(lackingOf(holder, access.state, other))
}

const forEver = { scope: { kind: 'everything' }, until: Number.POSITIVE_INFINITY } as const

type Granting = Extract<CommandOf<'grant'>, { type: 'grant-role' }>['data']

async function given({ dispatcher }: { dispatcher: Dispatcher }, { role, scope, expiresAt }: Granting) {
  const until = expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt)
  return { permissions: await permissionsNow(dispatcher, role), scope, until }
}

async function permissionsNow(dispatcher: Dispatcher, role: string): Promise<readonly string[]> {
  if (isBuiltInRole(role)) return builtInRoles[role].permissions
  const { state } = await dispatcher.load('role', streams.role(role))
  return state.status === 'absent' ? [] : state.permissions
}

/** By these commands one could come in as the other. An id may have been granted something before there was its user. */
const takesOver = new Set(['create-reset-link', 'remove-second-factors', 'change-user-profile', 'create-user'])

function somebodyElse(holder: Holder, { type, data }: { type: string; data: Record<string, unknown> }) {
  const other = takesOver.has(type)
    ? ({ kind: 'user', id: String(data.userId) } as const)
    : type === 'issue-api-key'
      ? (data.owner as PrincipalRef)
      : undefined
  return other && other.id !== holder.actor.id ? other : undefined
}

/** Allowed all the same: the key file is always one administrator more. */
function warnOfLast(state: AccessState, log: Log, grantId: string): void {
  const row = state.rows.grant.get(grantId)
  if (row?.role === 'administrator' && administrators(state).length <= 1)
    log.warn({ grantId }, 'the last administrator by grant is taken away: only the key file is left')
}
