import { type AccessState, type Authentication, createAuthentication, createTokenCheck } from '../../infra/access.ts'
import { apiKeyCheck } from '../../infra/api-keys.ts'
import type { Bus } from '../../infra/bus.ts'
import type { Clock } from '../../infra/clock.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { administratorKeys } from '../../infra/http/index.ts'
import { systemIds } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import { createSignInVault } from '../../infra/sign-in-vault.ts'
import type { FeedParts } from '../access/feed.ts'
import { createFailedAttempts } from './failed-attempts.ts'
import { createSignInFeed } from './feed.ts'

type Parts = {
  store: EventStore
  bus: Bus
  access: { readonly state: AccessState }
  clock: Clock
  log: Log
  apiKeysFile: string
  seen?: FeedParts['seen']
}

/** What signing in works with, and what checks who comes. */
export function openSignIn({ store, bus, access, clock, log, apiKeysFile, seen }: Parts) {
  const vault = createSignInVault(bus)
  const feed = createSignInFeed({ store, log, seen })
  const tokens = createTokenCheck({ publicKeys: async () => (await vault.ask('public-keys', {})).keys, clock })
  const failed = createFailedAttempts({ store, clock, ids: systemIds, log })
  const administrators = administratorKeys(apiKeyCheck(apiKeysFile, clock))
  const authentication = (keyUsed: (keyId: string) => void): Authentication => {
    const by = { administrators, tokens, facts: () => feed.facts, access: () => access.state, clock, keyUsed }
    const authenticate = createAuthentication(by)
    // Until the log was read, what has ended is not known.
    return (presented, request) => (feed.live ? authenticate(presented, request) : administrators(presented))
  }
  return { vault, feed, tokens, failed, authentication }
}
