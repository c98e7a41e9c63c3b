import { createHash } from 'node:crypto'
import type { UsableSecret } from '../../schemas/credential.ts'
import { Shared } from '../shared.ts'
import { maskVariants } from './mask-variants.ts'
import { type MaskSet, maskSet } from './masker.ts'

const inUse = new Shared<MaskSet>(set => set.wipe())

/**
 * What hides a secret in output, made once for all connections that logged in with it. Wiped when the last of them
 * says so; a second `wipe` of the same connection does nothing.
 */
export function secretMasks(secret: UsableSecret): MaskSet {
  const make = () => maskSet(maskVariants(secretTexts(secret)))
  const { value, release } = inUse.take(secretDigest(secret), make)
  return { byFirstByte: value.byFirstByte, table: value.table, wipe: release }
}

/** Tells secrets apart without keeping them; SHA-256, base64. */
export const secretDigest = (secret: UsableSecret): string =>
  createHash('sha256')
    .update(JSON.stringify(secretTexts(secret)))
    .digest('base64')

function secretTexts(secret: UsableSecret): string[] {
  const passphrase = 'passphrase' in secret && secret.passphrase !== undefined ? [secret.passphrase] : []
  switch (secret.kind) {
    case 'password':
    case 'windows-password':
      return [secret.password]
    case 'ssh-key':
    case 'client-certificate':
    case 'ssh-certificate':
      return [secret.privateKey, ...passphrase]
    case 'api-token':
      return [secret.token]
    case 'generic':
      return [secret.value]
  }
}
