import type { Clock } from '../infra/clock.ts'
import type { ReleaseRequest } from '../schemas/bus.ts'
import { secretMaterial } from '../schemas/credential.ts'
import { ExternalUnusable, type ReadExternal } from './external.ts'
import { type CertificateFacts, makeLogin } from './ssh/certificate.ts'

export type UsableDeps = { external: ReadExternal; clock: Clock }
/** `plaintext`: JSON of what the executor uses; the caller wipes it. */
export type Usable = { plaintext: Buffer; certificate?: CertificateFacts } | { unusable: string }

/**
 * Makes what an executor uses out of what is stored: most secrets are it; an authority's key makes a certificate and
 * stays; a reference is followed. Wipes what it is given. Throws ExternalUnavailable.
 */
export async function toUsable(
  { external, clock }: UsableDeps,
  stored: Buffer,
  { runId, n, epoch, executorId }: ReleaseRequest,
  username: string,
): Promise<Usable> {
  const secret = parse(stored)
  if (secret.kind === 'external') {
    try {
      return { plaintext: Buffer.from(JSON.stringify(await external(secret))) }
    } catch (err) {
      if (err instanceof ExternalUnusable) return { unusable: err.message }
      throw err
    }
  }
  if (secret.kind !== 'ssh-certificate') return { plaintext: Buffer.from(JSON.stringify(secret)) }
  const keyId = `opsconductor run=${runId}.${n} epoch=${epoch} executor=${executorId}`
  const made = makeLogin(secret, { username, keyId, now: clock.now() })
  if (!made) return { unusable: 'no certificate can be signed with the key of the authority' }
  return { plaintext: Buffer.from(JSON.stringify(made.login)), certificate: made.facts }
}

function parse(stored: Buffer) {
  try {
    return secretMaterial.parse(JSON.parse(stored.toString('utf8')))
  } finally {
    stored.fill(0)
  }
}
