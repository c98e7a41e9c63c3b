import { type AccessState, isOwned, personOf } from '../../infra/access.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { AccountOwner } from '../../schemas/service-account.ts'
import type { Answer, Dispatcher, DispatchOptions } from '../dispatch.ts'
import type { CommandOf, ServiceAccountFacts } from '../domain/index.ts'

type Deps = { dispatcher: Dispatcher; access: { readonly state: AccessState } }
type Rest = Omit<DispatchOptions<'serviceAccount'>, 'facts'>

export async function decideServiceAccount(
  { dispatcher, access }: Deps,
  command: CommandOf<'serviceAccount'>,
  rest: Rest,
): Promise<Answer> {
  const facts = async (): Promise<ServiceAccountFacts> => {
    const named = 'owner' in command.data ? command.data.owner : undefined
    const owner = named && (await statusOf({ dispatcher, access }, named))
    return { by: byUser(access.state, rest.meta), owner }
  }
  return await dispatcher.dispatch('serviceAccount', command, { ...rest, facts })
}

/** Somebody who comes with a key of theirs is still that somebody. */
function byUser(state: AccessState, { actor }: Meta): AccountOwner | undefined {
  const person = personOf(state, actor)
  return person?.kind === 'user' ? { kind: 'user', id: person.id } : undefined
}

async function statusOf({ dispatcher, access }: Deps, owner: AccountOwner): Promise<'active' | 'inactive' | 'absent'> {
  if (owner.kind === 'user') {
    const { status } = (await dispatcher.load('user', streams.user(owner.id))).state
    if (status === 'absent') return 'absent'
    return status === 'active' || status === 'invited' ? 'active' : 'inactive'
  }
  const { state } = await dispatcher.load('group', streams.group(owner.id))
  if (state.status === 'absent') return 'absent'
  return isOwned(access.state, owner) ? 'active' : 'inactive'
}
