import type { LogPosition } from '../schemas/events.ts'

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

/** Keeps the most recently used states; the oldest go first. What it holds may be out of date. */
export function createStateCache(max = 2_000): StateCache {
  const entries = new Map<string, Folded>()
  return {
    get(stream) {
      const found = entries.get(stream)
      if (found) {
        entries.delete(stream)
        entries.set(stream, found)
      }
      return found
    },
    set(stream, folded) {
      entries.delete(stream)
      if (folded.length > MAX_LENGTH) return
      entries.set(stream, folded)
      const [oldest] = entries.keys()
      if (entries.size > max && oldest !== undefined) entries.delete(oldest)
    },
    delete: stream => void entries.delete(stream),
  }
}
