import { setTimeout as delay } from 'node:timers/promises'
import { type AccessState, copyOf, createAccessState, isTakenIn, takeAway } from '../../infra/access.ts'
import { type Bus, requestJson, subscribeJson } from '../../infra/bus.ts'
import type { Log } from '../../infra/log.ts'
import { subjects } from '../../schemas/bus.ts'
import { type Revocation, revocations } from '../../schemas/revocation.ts'

/** What has ended and the read models do not say yet. It takes away and never gives. */
export interface Revoked {
  /** The state without what has ended since. */
  less(state: AccessState): AccessState
  stop(): void
}

type Options = {
  bus: Bus
  log: Log
  /** Told of sessions that have ended. */
  ended: (revocation: Revocation) => void
}
const ASK_MS = 2_000
const ASK_AGAIN_MS = 1_000
/** Beyond this nobody is permitted anything by grants before the read models are as far. */
const MOST = 10_000

/** Hears of it from the command API, which follows the log, and asks whenever some of it may have been missed. */
export function createRevoked({ bus, log, ended }: Options): Revoked {
  const ahead = createAhead(() =>
    log.warn('more has ended than can be kept: until the read models say so, nobody reads'),
  )
  const take = (all: readonly Revocation[]) => {
    for (const revocation of all) {
      const { kind } = revocation.over
      if (kind === 'session' || kind === 'sessions') ended(revocation)
      else ahead.add(revocation)
    }
  }
  const stopped = new AbortController()
  const heard = subscribeJson(bus, subjects.revoked, revocations, message => take(message.revocations))
  let asking = false
  const ask = async () => {
    while (!stopped.signal.aborted) {
      try {
        take((await requestJson(bus, subjects.revocations, revocations, {}, { timeoutMs: ASK_MS })).revocations)
        return
      } catch (err) {
        log.debug({ err }, 'what has ended is not known yet: asking again')
        await delay(ASK_AGAIN_MS, undefined, { signal: stopped.signal }).catch(() => undefined)
      }
    }
  }
  const missed = () => {
    if (asking) return
    asking = true
    void ask().finally(() => {
      asking = false
    })
  }
  missed()
  const unwatch = bus.onStatus(status => {
    if (status === 'connected') missed()
  })
  return {
    less: ahead.less,
    stop() {
      unwatch()
      heard.unsubscribe()
      stopped.abort()
    },
  }
}

/** A copy of the state is made where something is ahead of it, and used until either has changed. */
export function createAhead(onTooMany: () => void) {
  const open = new Map<string, Revocation>()
  let fresh: Revocation[] = []
  let made: { of: AccessState; version: number; state: AccessState } | undefined
  /** The newest of more than can be kept: read models come to it after all of those before. */
  let beyond: Revocation | undefined
  const nobody = createAccessState()
  return {
    add(revocation: Revocation): void {
      const key = keyOf(revocation)
      if (open.has(key)) return
      if (open.size < MOST) {
        open.set(key, revocation)
        fresh.push(revocation)
        return
      }
      if (!beyond) onTooMany()
      beyond = revocation
    },
    less(state: AccessState): AccessState {
      if (beyond && isTakenIn(state, beyond)) beyond = undefined
      if (beyond) return nobody
      if (open.size === 0) return state
      if (!made || made.of !== state || made.version !== state.version) {
        fresh = [...open.values()]
        made = { of: state, version: state.version, state: copyOf(state) }
      }
      for (const revocation of fresh)
        if (isTakenIn(state, revocation)) open.delete(keyOf(revocation))
        else takeAway(made.state, revocation)
      fresh = []
      return open.size === 0 ? state : made.state
    },
  }
}

const keyOf = ({ stream, revision }: Revocation): string => `${stream}@${revision}`
