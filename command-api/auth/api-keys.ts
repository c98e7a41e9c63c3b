import { sha256Hex } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import type { Answer, Dispatcher, DispatchOptions } from '../dispatch.ts'
import type { ApiKeyFacts, CommandOf } from '../domain/index.ts'
import { newSecret, type ShownOnce, shown } from './shown-once.ts'

type Deps = { dispatcher: Dispatcher }
type Issue = Extract<CommandOf<'apiKey'>, { type: 'issue-api-key' }>
type Rest = Omit<DispatchOptions<'apiKey'>, 'facts'>

/** Only the digest of a key is dispatched. */
export async function decideApiKey(deps: Deps, command: CommandOf<'apiKey'>, rest: Rest): Promise<Answer | ShownOnce> {
  const { dispatcher } = deps
  if (command.type !== 'issue-api-key') return await dispatcher.dispatch('apiKey', command, { ...rest, facts: {} })
  const { keyId } = command.data
  const key = newSecret('opsk', keyId)
  const secretHash = sha256Hex(key)
  const facts = async (): Promise<ApiKeyFacts> => ({ secretHash, owner: await ownerOf(deps, command) })
  const answer = await dispatcher.dispatch('apiKey', command, { ...rest, facts })
  const { state } = await dispatcher.load('apiKey', streams.apiKey(keyId))
  return shown(answer, 'apiKey', key, state.status !== 'absent' && state.secretHash === secretHash)
}

async function ownerOf({ dispatcher }: Deps, { data: { owner } }: Issue): Promise<'active' | 'inactive' | 'absent'> {
  const { status } =
    owner.kind === 'user'
      ? (await dispatcher.load('user', streams.user(owner.id))).state
      : (await dispatcher.load('serviceAccount', streams.serviceAccount(owner.id))).state
  if (status === 'absent') return 'absent'
  return status === 'active' || status === 'invited' ? 'active' : 'inactive'
}
