import type { TokenCheck } from '../../infra/access.ts'
import { addressKey } from '../../infra/address-ranges.ts'
import type { Clock } from '../../infra/clock.ts'
import { originOf, type Request } from '../../infra/http/index.ts'
import type { Ids } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { SignInVault } from '../../infra/sign-in-vault.ts'
import type { Actor, Meta } from '../../schemas/kernel.ts'
import type { Dispatcher } from '../dispatch.ts'
import type { FailedAttempts } from './failed-attempts.ts'
import type { SignInFeed } from './feed.ts'

export type AuthDeps = {
  dispatcher: Dispatcher
  vault: SignInVault
  tokens: TokenCheck
  feed: SignInFeed
  failed: FailedAttempts
  clock: Clock
  ids: Ids
  log: Log
}

/** What the log is told about a step of signing in: nobody is somebody before it is over. */
export function metaFor({ clock, ids }: Pick<AuthDeps, 'clock' | 'ids'>, request: Request, actor: Actor): Meta {
  const commandId = ids.next()
  return {
    commandId,
    $correlationId: request.id,
    $causationId: commandId,
    actor,
    origin: originOf(request),
    at: clock.now(),
  }
}

export const asUser = (userId: string): Actor => ({ kind: 'user', id: userId })
export const asSignIn: Actor = { kind: 'system', id: 'sign-in' }

/** Where an attempt comes from, as it is counted: whoever has an IPv6 address has as many as they like beside it. */
export const addressOf = (request: Request): string => addressKey(originOf(request).ip ?? '')
