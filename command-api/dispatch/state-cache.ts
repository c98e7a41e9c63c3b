import type { LogPosition } from '../../schemas/events.ts'

/** An event a command left behind. */
export type EventRef = { id: string; type: string; revision: bigint; position: LogPosition }
/** A folded stream, and which command each of its events came from. */
export type Folded = {
  state: unknown
  revision: bigint | 'none'
  length: number
  byCommand: ReadonlyMap<string, readonly EventRef[]>
}
export interface StateCache {
  get(stream: string): Folded | undefined
  set(stream: string, folded: Folded): void
  delete(stream: string): void
}

/** Longer streams are read each time: remembering every command of theirs would cost more than it saves. */
const MAX_LENGTH = 512

/**
 * Keeps at least the `max` most recently used states and at most twice as many. What it holds may be out of date.
 * Two generations instead of an order: what was not asked for while one filled up goes with it.
 */
export function createStateCache(max = 1_000): StateCache {
  let young = new Map<string, Folded>()
  let old = new Map<string, Folded>()
  const keep = (stream: string, folded: Folded) => {
    young.set(stream, folded)
    if (young.size < max) return
    old = young
    young = new Map()
  }
  const forget = (stream: string) => {
    young.delete(stream)
    old.delete(stream)
  }
  return {
    get(stream) {
      const found = young.get(stream)
      if (found) return found
      const aged = old.get(stream)
      if (aged) keep(stream, aged)
      return aged
    },
    set(stream, folded) {
      if (folded.length > MAX_LENGTH) forget(stream)
      else keep(stream, folded)
    },
    delete: forget,
  }
}
