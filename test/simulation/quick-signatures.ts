import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Signatures that cost next to nothing: executors sign every question for work, and real ones would take a tenth of
 * the time of all worlds. Still another text has another signature; whose it is the key beside it says.
 */
function quick(text: crypto.BinaryLike): Buffer {
  return crypto.createHash('sha512').update(text).digest()
}

export function installQuickSignatures(): void {
  const sign = (_algorithm: unknown, text: crypto.BinaryLike) => quick(text)
  const verify = (_algorithm: unknown, text: crypto.BinaryLike, _key: unknown, signature: Buffer) =>
    quick(text).equals(signature)
  Object.assign(crypto, { sign, verify })
  syncBuiltinESMExports()
}
