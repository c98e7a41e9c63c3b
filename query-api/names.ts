import type { Clock } from '../infra/clock.ts'
import type { SignInVault } from '../infra/sign-in-vault.ts'
import type { SignInReply } from '../schemas/sign-in-bus.ts'

export type Name = SignInReply<'profiles'>['profiles'][string]
/** Who is meant by the ids of users, as the vault knows it; an erased person shows as `[erased]`. */
export interface Names {
  /** Throws ProblemError vault-unavailable. */
  of(userIds: readonly string[]): Promise<ReadonlyMap<string, Name>>
  /** The user with this login name. */
  find(loginName: string): Promise<string | undefined>
  /** They may be called otherwise now. */
  forget(userIds: readonly string[]): void
}

const KEEP_MS = 30_000
const AT_ONCE = 500
const MOST_KNOWN = 20_000
const erased: Name = { loginName: '[erased]', displayName: null, email: null }

export function createNames(vault: SignInVault, clock: Pick<Clock, 'monotonic'>): Names {
  const known = new Map<string, { name: Name; at: number }>()
  const fetch = async (userIds: readonly string[]) => {
    const at = clock.monotonic()
    const { profiles } = await vault.ask('profiles', { userIds: [...userIds] })
    if (known.size > MOST_KNOWN) known.clear()
    for (const userId of userIds) known.set(userId, { name: profiles[userId] ?? erased, at })
  }
  return {
    async of(userIds) {
      const wanted = [...new Set(userIds)]
      const fresh = clock.monotonic() - KEEP_MS
      const missing = wanted.filter(userId => (known.get(userId)?.at ?? Number.NEGATIVE_INFINITY) < fresh)
      for (let from = 0; from < missing.length; from += AT_ONCE) await fetch(missing.slice(from, from + AT_ONCE))
      return new Map(wanted.map(userId => [userId, known.get(userId)?.name ?? erased]))
    },
    find: async loginName => (await vault.ask('find-login', { loginName })).userId ?? undefined,
    forget: userIds => {
      for (const userId of userIds) known.delete(userId)
    },
  }
}
