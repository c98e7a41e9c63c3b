import { type AccessState, principalKey } from '../../infra/access.ts'
import type { PrincipalRef } from '../../schemas/access.ts'
import { streams } from '../../schemas/events.ts'
import { isBuiltInRole } from '../../schemas/permissions.ts'
import type { Dispatcher } from '../dispatch.ts'
import type { CommandOf, FactsOf } from '../domain/index.ts'

type Deps = { dispatcher: Dispatcher; access: { readonly state: AccessState } }

/** Whether there are the role and the one it is granted to. */
export async function factsForGrant(deps: Deps, command: CommandOf<'grant'>): Promise<FactsOf<'grant'>> {
  if (command.type !== 'grant-role') return undefined
  const { role, principal } = command.data
  const [roleStatus, principalStatus] = await Promise.all([statusOfRole(deps, role), statusOf(deps, principal)])
  return { role: roleStatus, principal: principalStatus }
}

async function statusOfRole({ dispatcher }: Deps, role: string) {
  if (isBuiltInRole(role)) return 'active'
  return (await dispatcher.load('role', streams.role(role))).state.status
}

/** Who is not known counts as there: the key file, for one, is not in the log. */
async function statusOf({ dispatcher, access }: Deps, principal: PrincipalRef) {
  if (principal.kind === 'group') return (await dispatcher.load('group', streams.group(principal.id))).state.status
  return access.state.principals.get(principalKey(principal))?.active === false ? 'inactive' : 'active'
}
