import { sha256Hex } from '../../infra/ids.ts'
import type { SignInVault } from '../../infra/sign-in-vault.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { ProblemError } from '../../schemas/problems.ts'
import type { UserCommand } from '../../schemas/user.ts'
import type { Answer, Dispatcher, DispatchOptions } from '../dispatch.ts'
import { type CommandOf, erasesNow, type User, type UserFacts } from '../domain/index.ts'
import { newSecret, type ShownOnce, shown } from './shown-once.ts'

/** A command of the public API about a user, whose id is known. */
export type UserAsked = UserCommand extends infer C
  ? C extends { type: infer T; data: infer D }
    ? { type: T; data: Omit<D, 'userId'> & { userId: string } }
    : never
  : never
type Asked<T extends UserAsked['type']> = Extract<UserAsked, { type: T }>['data']
export type UserDeps = { dispatcher: Dispatcher; signIn: SignInVault }
type Rest = Omit<DispatchOptions<'user'>, 'facts'> & { meta: Meta }

/** What a person is called goes to the vault and no further; what is dispatched carries only what the vault says of it. */
export async function decideUser(deps: UserDeps, command: UserAsked, rest: Rest): Promise<Answer | ShownOnce> {
  const { dispatcher, signIn } = deps
  switch (command.type) {
    case 'create-user':
      return await invite(deps, command.data, rest)
    case 'create-reset-link': {
      const link = newSecret('opsl', command.data.userId)
      const linkHash = sha256Hex(link)
      const answer = await dispatcher.dispatch('user', command, { ...rest, facts: { linkHash } })
      return shown(answer, 'link', link, await isLink(deps, command.data.userId, linkHash))
    }
    case 'change-user-profile':
      return await changeProfile(deps, command.data, rest)
    case 'unlock-user': {
      const answer = await dispatcher.dispatch('user', command, { ...rest, facts: {} })
      await signIn.ask('forget-attempts', { userId: command.data.userId })
      return answer
    }
    case 'remove-second-factors': {
      const answer = await dispatcher.dispatch('user', command, { ...rest, facts: {} })
      await signIn.ask('keep-factors', { userId: command.data.userId, factorIds: [], setId: null })
      return answer
    }
    case 'require-passphrase-change':
    case 'deactivate-user':
    case 'reactivate-user':
    case 'place-legal-hold':
    case 'release-legal-hold':
    case 'erase-personal-data':
      return await dispatcher.dispatch('user', command, {
        ...rest,
        facts: state => factsOf(signIn, command, state),
      })
  }
}

/** The vault destroys first and is asked again after a crash: it answers the same certificate. */
async function factsOf(
  signIn: SignInVault,
  { type, data: { userId } }: CommandOf<'user'>,
  state: User,
): Promise<UserFacts> {
  if (!erasesNow(type, state)) return {}
  const { certificate } = await signIn.ask('erase-subject', { userId })
  if (!certificate) throw new ProblemError('user-not-found')
  return { certificate }
}

async function invite(deps: UserDeps, data: Asked<'create-user'>, rest: Rest): Promise<ShownOnce> {
  const { dispatcher, signIn } = deps
  const { userId, loginName, displayName = null, email = null, linkSeconds } = data
  const link = newSecret('opsl', userId)
  const linkHash = sha256Hex(link)
  // Permission first: nobody learns which names are taken who may not invite.
  const facts = async (): Promise<UserFacts> => {
    const { loginIndex } = await signIn.ask('create-subject', { userId, loginName, displayName, email })
    if (loginIndex === null) throw new ProblemError('login-name-taken')
    return { loginIndex, linkHash }
  }
  const command = { type: 'create-user' as const, data: { userId, linkSeconds } }
  const answer = await dispatcher.dispatch('user', command, { ...rest, facts })
  return shown(answer, 'link', link, await isLink(deps, userId, linkHash))
}

async function isLink({ dispatcher }: UserDeps, userId: string, linkHash: string): Promise<boolean> {
  const { state } = await dispatcher.load('user', streams.user(userId))
  return state.status !== 'absent' && state.link?.hash === linkHash
}

/** The vault says which fields changed; when the log cannot be told, the next try finds nothing left to change. */
async function changeProfile({ dispatcher, signIn }: UserDeps, data: Asked<'change-user-profile'>, rest: Rest) {
  const { userId } = data
  let changed: { fields: Array<'loginName' | 'displayName' | 'email'>; loginIndex?: string } | undefined
  const command = { type: 'change-user-profile' as const, data: { userId, fields: givenFields(data) } }
  const facts = async (state: User): Promise<UserFacts> => {
    if (state.status === 'absent' || state.status === 'erased') return {}
    if (!changed) {
      const answer = await signIn.ask('change-profile', data)
      if (answer.outcome === 'taken') throw new ProblemError('login-name-taken')
      if (answer.outcome === 'unknown') throw new ProblemError('user-not-found')
      const { fields, loginIndex } = answer
      changed = { fields, ...(loginIndex !== undefined && { loginIndex }) }
    }
    return { changedFields: changed.fields, loginIndex: changed.loginIndex }
  }
  return await dispatcher.dispatch('user', command, { ...rest, facts })
}

const givenFields = (data: Asked<'change-user-profile'>) =>
  (['loginName', 'displayName', 'email'] as const).filter(field => data[field] !== undefined)
