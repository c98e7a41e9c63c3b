import type { EventStore } from '../infra/event-store/port.ts'
import { releaseSignedText, verifySignature } from '../infra/identity.ts'
import type { ReleaseRequest } from '../schemas/bus.ts'
import { type ReleaseEvent, readableKinds, sshKinds } from '../schemas/credential.ts'
import { streams } from '../schemas/events.ts'
import { NotAuthentic } from './aes-gcm.ts'
import { type Claim, findClaim } from './claim.ts'
import type { CredentialReader } from './credential-status.ts'
import { openEnvelope } from './envelope.ts'
import type { ExecutorReader } from './executor-status.ts'
import type { KekProvider } from './kek.ts'
import type { SecretStore } from './secret-store.ts'
import type { CertificateFacts } from './ssh/certificate.ts'
import { toUsable, type UsableDeps } from './usable.ts'

export type DenialCode = Extract<ReleaseEvent, { type: 'CredentialReleaseDenied' }>['data']['code']
/** `claim` is there once the signature has shown that the claiming executor itself asks; `why` may be told. */
export type Denial = { denied: DenialCode; claim?: Claim; why?: string }
export type JudgeDeps = {
  store: Pick<EventStore, 'read'>
  secrets: SecretStore
  keks: KekProvider
  credential: CredentialReader
  executor: ExecutorReader
} & UsableDeps

/**
 * Decides on the log alone whether this executor may have this secret now; the bus proves nothing. With a yes comes
 * the plaintext of what the executor is to use, which the caller wipes.
 */
export async function judge(
  deps: JudgeDeps,
  request: ReleaseRequest,
): Promise<Denial | { claim: Claim; plaintext: Buffer; certificate?: CertificateFacts }> {
  const { events } = await deps.store.read(streams.targetRun(request.runId, request.n))
  const found = findClaim(events, request)
  if (!found) return { denied: 'not-claimed' }
  const { claim, holds, running } = found
  if (!verifySignature(claim.data.executorKey, releaseSignedText(request), request.signature)) {
    return { denied: 'wrong-signature' }
  }
  if (!holds) return { denied: 'stale-epoch', claim }
  const standing = await standingOf(deps.executor, claim)
  if (standing) return { denied: standing, claim }
  if (!names(claim, request)) return { denied: 'not-this-credential', claim }
  if (request.stepId !== undefined && request.stepId !== running) return { denied: 'step-not-running', claim }
  const version = await versionOf(deps, request)
  if ('denied' in version) return { ...version, claim }
  const { sealId, username } = version
  const stored = await open(deps, { credentialId: request.credentialId, version: request.version, sealId })
  if (!stored) return { denied: 'damaged-secret', claim }
  const usable = await toUsable(deps, stored, request, username)
  return 'unusable' in usable ? { denied: 'external-unusable', why: usable.unusable, claim } : { claim, ...usable }
}

/** Whether the claim is for this secret: to log in with it, or for the step that is said to read it. */
function names({ data: { credential, secrets = [] } }: Claim, request: ReleaseRequest): boolean {
  const { credentialId, version, stepId } = request
  const named = stepId === undefined ? credential : secrets.find(secret => secret.stepId === stepId)
  return named?.credentialId === credentialId && named.version === version
}

/** A claim was given to an enrolled executor; what became of the executor since counts as well. */
async function standingOf(executor: ExecutorReader, { data }: Claim): Promise<DenialCode | undefined> {
  let status = await executor(data.executorId)
  // One that was enrolled a moment ago must not be denied because of a reading from before it.
  if (status.publicKey !== data.executorKey) status = await executor(data.executorId, { fresh: true })
  if (status.revoked) return 'executor-revoked'
  return status.publicKey === data.executorKey ? undefined : 'executor-not-enrolled'
}

async function versionOf(
  { credential, clock }: JudgeDeps,
  { credentialId, version, stepId }: ReleaseRequest,
): Promise<{ sealId: string; username: string } | { denied: DenialCode }> {
  let status = await credential(credentialId)
  // A version that was added a moment ago must not be denied because of a reading from before it.
  if (!status.revoked && !status.versions.has(version)) status = await credential(credentialId, { fresh: true })
  if (status.revoked) return { denied: 'revoked' }
  const found = status.versions.get(version)
  if (!found) return { denied: 'unknown-version' }
  const { sealId, kind, expiresAt } = found
  // The claim was made with what was known then, by a process that may be wrong.
  if (!(stepId === undefined ? sshKinds : readableKinds).has(kind)) return { denied: 'credential-unfit' }
  if (expiresAt !== undefined && Date.parse(expiresAt) <= Date.parse(clock.now())) return { denied: 'expired' }
  return { sealId, username: status.username }
}

async function open(
  { secrets, keks }: JudgeDeps,
  name: { credentialId: string; version: number; sealId: string },
): Promise<Buffer | undefined> {
  const stored = await secrets.get(name.sealId)
  if (!stored) return undefined
  try {
    // Named by the log, not by the row: a row that says to be another's does not open.
    return await openEnvelope(keks, { ...stored, ...name })
  } catch (err) {
    if (err instanceof NotAuthentic) return undefined
    throw err
  }
}
