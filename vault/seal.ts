import { createHash } from 'node:crypto'
import type { Clock } from '../infra/clock.ts'
import { HpkeOpenError, hpkeOpen, sealInfo } from '../infra/hpke.ts'
import type { Ids } from '../infra/ids.ts'
import type { SealRequest } from '../schemas/bus.ts'
import { kindOf, type Sealed, type SecretMaterial, secretMaterial } from '../schemas/credential.ts'
import { openEnvelope, sealEnvelope } from './envelope.ts'
import type { KekProvider } from './kek.ts'
import type { OwnKeys } from './own-keys.ts'
import { shapeProblem } from './secret-shape.ts'
import type { SecretStore, StoredSecret } from './secret-store.ts'
import { endOf } from './shapes/client-certificate.ts'
import { newAuthorityKey, openAuthority, publicLine } from './ssh/authority.ts'

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
    const problem = secret ? problemOf(secret, request) : 'not a secret of a known kind'
    if (!secret || problem) return { error: 'invalid-secret', detail: problem ?? '' }
    const stored = await keep(deps, request, secret)
    return { ...reference(stored), ...(await aboutOf(deps, secret, stored)) }
  } catch (err) {
    if (!(err instanceof HpkeOpenError)) throw err
    return { error: 'cannot-open', detail: 'the secret was not sealed to the vault for this credential version' }
  } finally {
    plaintext?.fill(0)
  }
}

async function keep(deps: SealDeps, request: SealRequest, secret: SecretMaterial): Promise<StoredSecret> {
  const { credentialId, version } = request
  const made = isToBeMade(secret)
  // Written anew, so that the order of keys and blanks a client used do not make a difference. What is to be made is new
  // in every version.
  const asked = Buffer.from(JSON.stringify(made ? { ...secret, version } : secret))
  const fingerprint = deps.own.fingerprint(credentialId, asked)
  const content = made ? Buffer.from(JSON.stringify({ ...secret, caKey: newAuthorityKey() })) : asked
  try {
    const earlier = await deps.secrets.find(credentialId, version, fingerprint)
    if (earlier) return earlier
    const envelope = await sealEnvelope(deps.keks, { credentialId, version, sealId: deps.ids.next() }, content)
    return await deps.secrets.keep({ ...envelope, fingerprint }, deps.clock.now())
  } finally {
    content.fill(0)
    asked.fill(0)
  }
}

const isToBeMade = (secret: SecretMaterial) => secret.kind === 'ssh-certificate' && secret.caKey === undefined

/** What may be known of a secret beside its references. */
async function aboutOf(deps: SealDeps, secret: SecretMaterial, stored: StoredSecret): Promise<Partial<Sealed>> {
  switch (secret.kind) {
    case 'external':
      return { external: secret.path }
    case 'client-certificate': {
      const expiresAt = endOf(secret)
      return expiresAt === undefined ? {} : { expiresAt }
    }
    case 'ssh-certificate':
      return { publicKey: await publicKeyOf(deps, stored) }
    case 'ssh-key':
    case 'password':
    case 'windows-password':
    case 'api-token':
    case 'generic':
      return {}
  }
}

/** Of the key that was kept: of two that were made at the same moment, one was. */
async function publicKeyOf({ keks }: SealDeps, stored: StoredSecret): Promise<string> {
  const content = await openEnvelope(keks, stored)
  try {
    const kept = secretMaterial.parse(JSON.parse(content.toString('utf8')))
    const key =
      kept.kind === 'ssh-certificate' && kept.caKey !== undefined && openAuthority(kept.caKey, kept.passphrase)
    if (!key) throw new Error('an authority was kept without its key')
    return publicLine(key)
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
  const real = kindOf(secret)
  return real === kind ? shapeProblem(secret) : `said to be of kind ${kind}, but is of kind ${real}`
}

const reference = ({ sealId, kekId, fingerprint, ciphertext, tag }: StoredSecret): Sealed => ({
  sealId,
  kekId,
  fingerprint,
  ciphertextDigest: createHash('sha256').update(ciphertext).update(tag).digest('hex'),
})
