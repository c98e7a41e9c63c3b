import { hash, verify } from '@node-rs/argon2'

/** More passphrases than can be worked on wait already: try again in a moment. */
export class HashPoolBusy extends Error {
  override name = 'HashPoolBusy'
}

/**
 * Argon2id (RFC 9106) with the parameters OWASP names for it: 19 MiB, two passes, one lane. At most so many at once and so
 * many waiting, so that a flood of attempts costs neither all processors nor all memory. Throws HashPoolBusy.
 */
export type HashPool = {
  hash(passphrase: string): Promise<string>
  verify(hashed: string, passphrase: string): Promise<boolean>
}

const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 }

export function createHashPool({ atOnce = 2, mayWait = 32 } = {}): HashPool {
  const waiting: Array<() => void> = []
  let running = 0
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= atOnce) {
      if (waiting.length >= mayWait) throw new HashPoolBusy('too many passphrases to check at once')
      // Whoever ends hands over its place, so that nobody gets in between.
      await new Promise<void>(resolve => waiting.push(resolve))
    } else running += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
  return {
    hash: passphrase => inTurn(() => hash(normal(passphrase), PARAMETERS)),
    verify: (hashed, passphrase) => inTurn(() => verify(hashed, normal(passphrase))),
  }
}

/** The same text however a keyboard composes it (NIST SP 800-63B section 3.1.1.2: NFKC). Nothing is cut off. */
const normal = (passphrase: string): string => passphrase.normalize('NFKC')
