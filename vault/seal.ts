import { createHash } from 'node:crypto'
import type { Clock } from '../infra/clock.ts'
import { HpkeOpenError, hpkeOpen, sealInfo } from '../infra/hpke.ts'
import type { Ids } from '../infra/ids.ts'
import type { SealRequest } from '../schemas/bus.ts'
import { type Sealed, type SecretMaterial, secretMaterial } from '../schemas/credential.ts'
import { sealEnvelope } from './envelope.ts'
import type { KekProvider } from './kek.ts'
import type { OwnKeys } from './own-keys.ts'
import { shapeProblem } from './secret-shape.ts'
import type { SecretStore, StoredSecret } from './secret-store.ts'

/**
 * Why nothing was sealed or released. `unknown-key`: ask for the public key again and repeat; `cannot-open`: not sealed
 * to it for this version; `invalid-secret`: the detail may be shown to who gave the secret.
 */
export type Refusal = { error: string; detail: string }
export type SealDeps = { keks: KekProvider; own: OwnKeys; secrets: SecretStore; clock: Clock; ids: Ids }

/** Takes a secret in. The same secret for the same version gets the same answer as before, also after a restart. */
export async function seal(deps: SealDeps, request: SealRequest): Promise<Sealed | Refusal> {
  if (request.keyId !== deps.own.keyId) return { error: 'unknown-key', detail: 'the vault has another public key' }
  let plaintext: Uint8Array | undefined
  try {
    plaintext = hpkeOpen(deps.own.pair, sealInfo(request.credentialId, request.version), request)
    const secret = parse(plaintext)
    const problem = secret ? problemOf(secret, request) : 'not a password or an SSH key'
    if (!secret || problem) return { error: 'invalid-secret', detail: problem ?? '' }
    return reference(await keep(deps, request, secret))
  } catch (err) {
    if (!(err instanceof HpkeOpenError)) throw err
    return { error: 'cannot-open', detail: 'the secret was not sealed to the vault for this credential version' }
  } finally {
    plaintext?.fill(0)
  }
}

async function keep(deps: SealDeps, request: SealRequest, secret: SecretMaterial): Promise<StoredSecret> {
  const { credentialId, version } = request
  // Written anew, so that the order of keys and blanks a client used do not make a difference.
  const content = Buffer.from(JSON.stringify(secret))
  try {
    const fingerprint = deps.own.fingerprint(credentialId, content)
    const earlier = await deps.secrets.find(credentialId, version, fingerprint)
    if (earlier) return earlier
    const envelope = await sealEnvelope(deps.keks, { credentialId, version, sealId: deps.ids.next() }, content)
    return await deps.secrets.keep({ ...envelope, fingerprint }, deps.clock.now())
  } finally {
    content.fill(0)
  }
}

function parse(plaintext: Uint8Array): SecretMaterial | undefined {
  try {
    return secretMaterial.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext)))
  } catch {
    // A parser's message may quote what it could not parse.
    return undefined
  }
}

function problemOf(secret: SecretMaterial, { kind }: SealRequest): string | undefined {
  return secret.kind === kind ? shapeProblem(secret) : `said to be of kind ${kind}, but is of kind ${secret.kind}`
}

const reference = ({ sealId, kekId, fingerprint, ciphertext, tag }: StoredSecret): Sealed => ({
  sealId,
  kekId,
  fingerprint,
  ciphertextDigest: createHash('sha256').update(ciphertext).update(tag).digest('hex'),
})
