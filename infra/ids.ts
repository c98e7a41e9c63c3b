import { hash, randomFillSync } from 'node:crypto'
import { parse, v5, v7 } from 'uuid'

/** Namespace of everything derived from a command id. */
const NAMESPACE = parse('5d0f6c7e-3b1a-5c8e-9a64-0f2d7b8c1e35')

export type Ids = { next(): string }

/** UUIDv7 (RFC 9562): sorts by the time it was made. */
export const systemIds: Ids = { next: () => v7({ rng: () => randomBytes16() }) }

const pool = new Uint8Array(4096)
let used = pool.length

/** Asking the system for 16 bytes at a time costs more than the rest of making an id. */
function randomBytes16(): Uint8Array {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += 16
  return pool.slice(used - 16, used)
}

/** Id of the n-th event of a command: the same command always appends the same ids, so an append can be repeated. */
export const eventId = (commandId: string, index: number): string => v5(`${commandId}:${index}`, NAMESPACE)

/** An id that follows from what it names, for commands that a reactor or a retried request must not double. */
export const derivedId = (...parts: Array<string | number>): string => v5(parts.join('|'), NAMESPACE)

/** SHA-256, lower-case hex. */
export const sha256Hex = (data: string | Uint8Array): string => hash('sha256', data)
