import type { Hasher } from './hasher.ts'

/** More passphrases than can be worked on wait already: try again in a moment. */
export class HashPoolBusy extends Error {
  override name = 'HashPoolBusy'
}

/** Each waits until it is its turn. */
export type Hashes = {
  hash(passphrase: string): Promise<string>
  verify(hashed: string, passphrase: string): Promise<boolean>
}

export type HashPool = {
  /**
   * Does what will need hashes. At most so much of it is begun at once: a flood of attempts is turned away before it has
   * cost anything else. Throws HashPoolBusy.
   */
  admit<T>(work: (hashes: Hashes) => Promise<T>): Promise<T>
}

const AT_ONCE = 1
const MAY_WAIT = 20
/** Whoever asks stops waiting soon after. */
const MOST_WAIT_MS = 3_000
/** While others wait, the machine has so many times as long for everything else as a hash took. */
const REST = 2
/** Where a hash took longer, everything else had its time already. */
const MOST_REST_MS = 40

export function createHashPool(
  hasher: Pick<Hasher, 'hash' | 'verify'>,
  { atOnce = AT_ONCE, mayWait = MAY_WAIT, mostWaitMs = MOST_WAIT_MS, rest = REST } = {},
): HashPool {
  const waiting: Array<() => void> = []
  let admitted = 0
  let running = 0
  const takeNext = () => {
    const next = waiting.shift()
    if (next) next()
    else running -= 1
  }
  /** Whoever ends hands over its place, so that nobody gets in between. */
  const handOver = (tookMs: number) => {
    if (waiting.length === 0) running -= 1
    else setTimeout(takeNext, Math.min(MOST_REST_MS, tookMs * rest))
  }
  /** Who has waited too long is told so then, and not when its turn would have come. */
  const turn = () =>
    new Promise<void>((resolve, reject) => {
      const begin = () => {
        clearTimeout(late)
        resolve()
      }
      const late = setTimeout(() => {
        waiting.splice(waiting.indexOf(begin), 1)
        reject(new HashPoolBusy('it took too long until it was its turn'))
      }, mostWaitMs)
      waiting.push(begin)
    })
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= atOnce) await turn()
    else running += 1
    const began = performance.now()
    try {
      return await work()
    } finally {
      handOver(performance.now() - began)
    }
  }
  const hashes: Hashes = {
    hash: passphrase => inTurn(() => hasher.hash(normal(passphrase))),
    verify: (hashed, passphrase) => inTurn(() => hasher.verify(hashed, normal(passphrase))),
  }
  return {
    async admit(work) {
      if (admitted >= atOnce + mayWait) throw new HashPoolBusy('too many passphrases to check at once')
      admitted += 1
      try {
        return await work(hashes)
      } finally {
        admitted -= 1
      }
    },
  }
}

/** The same text however a keyboard composes it (NIST SP 800-63B section 3.1.1.2: NFKC). Nothing is cut off. */
const normal = (passphrase: string): string => passphrase.normalize('NFKC')
