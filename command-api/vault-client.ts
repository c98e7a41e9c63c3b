import { type Bus, BusError, requestJson } from '../infra/bus.ts'
import { HpkeKeyError, hpkeSeal, sealInfo } from '../infra/hpke.ts'
import { sealReply, subjects, vaultPublicKey } from '../schemas/bus.ts'
import { kindOf, type Sealed, type SecretMaterial } from '../schemas/credential.ts'
import { ProblemError } from '../schemas/problems.ts'

export interface VaultClient {
  /**
   * Gives a secret into the vault, encrypted on its way, and gets back what may be recorded about it. The same secret
   * for the same version is sealed once. Throws ProblemError: vault-unavailable, or invalid-input for a secret the
   * vault cannot use.
   */
  seal(credentialId: string, version: number, secret: SecretMaterial): Promise<Sealed>
}

const TIMEOUT_MS = 5_000
type PublicKey = { keyId: string; publicKey: string }

export function createVaultClient(bus: Bus): VaultClient {
  let known: PublicKey | undefined
  const publicKey = async (): Promise<PublicKey> => {
    known ??= await requestJson(bus, subjects.vaultPublicKey, vaultPublicKey, {}, { timeoutMs: TIMEOUT_MS })
    return known
  }
  const once = async (credentialId: string, version: number, secret: SecretMaterial) => {
    const { keyId, publicKey: to } = await publicKey()
    const sealed = await encrypt(to, sealInfo(credentialId, version), secret)
    const request = { credentialId, version, kind: kindOf(secret), keyId, ...sealed }
    return await requestJson(bus, subjects.vaultSeal, sealReply, request, { timeoutMs: TIMEOUT_MS })
  }
  return {
    async seal(credentialId, version, secret) {
      try {
        const first = await once(credentialId, version, secret)
        if (!('error' in first)) return first
        if (first.error === 'invalid-secret') throw refused(first.detail)
        // The vault was set up anew: its key of today is one question away.
        known = undefined
        const second = await once(credentialId, version, secret)
        if (!('error' in second)) return second
        throw new ProblemError('vault-unavailable')
      } catch (error) {
        if (error instanceof BusError || error instanceof HpkeKeyError) throw new ProblemError('vault-unavailable')
        throw error
      }
    },
  }
}

async function encrypt(publicKey: string, info: string, secret: SecretMaterial) {
  const plaintext = Buffer.from(JSON.stringify(secret))
  try {
    return hpkeSeal(publicKey, info, plaintext)
  } finally {
    plaintext.fill(0)
  }
}

const refused = (detail: string) =>
  new ProblemError('invalid-input', undefined, [{ path: 'secret', message: detail || 'the vault cannot use it' }])
