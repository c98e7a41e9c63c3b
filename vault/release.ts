import type { EventStore, NewEvent, Revision } from '../infra/event-store/port.ts'
import { WrongRevision } from '../infra/event-store/port.ts'
import { HpkeKeyError, type HpkeSealed, hpkeSeal, releaseInfo } from '../infra/hpke.ts'
import { derivedId, eventId } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import type { ReleaseRequest } from '../schemas/bus.ts'
import type { ReleaseEvent } from '../schemas/credential.ts'
import { streams } from '../schemas/events.ts'
import type { Claim } from './claim.ts'
import type { DenialLimit } from './denial-limit.ts'
import { type Denial, type JudgeDeps, judge } from './judge.ts'
import type { Refusal } from './seal.ts'

export type ReleaseDeps = JudgeDeps & {
  store: Pick<EventStore, 'read' | 'append'>
  denials: DenialLimit
  log: Log
}

/**
 * Answers an executor with the secret of its claim, sealed to the key it sent, after `CredentialReleased` is in the
 * log: what cannot be recorded is not released. Throws when the log cannot be read or written.
 */
export async function release(deps: ReleaseDeps, request: ReleaseRequest): Promise<HpkeSealed | Refusal> {
  const verdict = await judge(deps, request)
  if ('denied' in verdict) return await deny(deps, request, verdict)
  let answer: HpkeSealed
  try {
    answer = hpkeSeal(request.ephemeralKey, releaseInfo(request), verdict.plaintext)
  } catch (err) {
    if (!(err instanceof HpkeKeyError)) throw err
    return { error: 'invalid-key', detail: 'the ephemeral key cannot be used' }
  } finally {
    verdict.plaintext.fill(0)
  }
  const { claim, certificate } = verdict
  const data = { ...facts(request), targetId: claim.data.targetId, ...(certificate && { certificate }) }
  await record(deps, request, { type: 'CredentialReleased', data }, claim)
  return answer
}

const told: Record<Denial['denied'], string> = {
  'not-claimed': 'this executor has no such claim on the target run',
  'wrong-signature': 'the request is not signed by the executor that claimed the target run',
  'stale-epoch': 'the claim no longer holds',
  'not-this-credential': 'the claim is for another credential or version',
  'step-not-running': 'the step that it is for does not run now',
  revoked: 'the credential is revoked',
  'unknown-version': 'the credential has no such version',
  'executor-revoked': 'the executor is revoked',
  'executor-not-enrolled': 'the executor is not enrolled with the key of the claim',
  'damaged-secret': 'what is stored is not what was sealed',
  expired: 'the credential has expired',
  'credential-unfit': 'the credential is of a kind that cannot be used for this',
  'external-unusable': 'what the credential refers to cannot be used',
}

async function deny(
  deps: ReleaseDeps,
  request: ReleaseRequest,
  { denied: code, claim, why }: Denial,
): Promise<Refusal> {
  if (deps.denials.admit(request.executorId)) {
    const line = { ...facts(request), code, suppressedBefore: deps.denials.takeSuppressed() }
    if (code === 'damaged-secret') deps.log.error(line, 'a stored secret is damaged or was tampered with')
    else deps.log.warn(line, 'a release was denied')
    await record(deps, request, { type: 'CredentialReleaseDenied', data: { ...facts(request), code } }, claim)
  }
  return { error: code, detail: why ?? told[code] }
}

const facts = ({ runId, n, epoch, executorId, credentialId, version, stepId }: ReleaseRequest) => ({
  ...{ runId, n, epoch, executorId, credentialId, version },
  ...(stepId !== undefined && { stepId }),
})

const MAX_TRIES = 5

/** Appends at the exact revision. The same request repeated is the same event, and is recorded once. */
async function record(
  { store, clock }: ReleaseDeps,
  request: ReleaseRequest,
  event: ReleaseEvent,
  claim: Claim | undefined,
): Promise<void> {
  const stream = streams.release(request.runId, request.n)
  const fact = toNewEvent(request, event, claim, clock.now())
  // Most target runs ask once, so the first try spares reading a stream that is not there.
  let expected: Revision = 'none'
  for (let tries = 1; ; tries += 1) {
    try {
      await store.append(stream, [fact], expected)
      return
    } catch (err) {
      if (!(err instanceof WrongRevision) || tries === MAX_TRIES) throw err
    }
    const { events, revision } = await store.read(stream)
    if (events.some(({ id }) => id === fact.id)) return
    expected = revision
  }
}

function toNewEvent(request: ReleaseRequest, event: ReleaseEvent, claim: Claim | undefined, at: string): NewEvent {
  const { runId, n, epoch, executorId, credentialId, version, stepId, ephemeralKey } = request
  const what = event.type === 'CredentialReleased' ? 'released' : event.data.code
  const purpose = stepId === undefined ? [] : [stepId]
  const asked = [runId, n, epoch, executorId, credentialId, version, ephemeralKey, ...purpose]
  const commandId = derivedId('vault', what, ...asked)
  return {
    ...event,
    id: eventId(commandId, 0),
    metadata: {
      commandId,
      $correlationId: claim?.metadata.$correlationId ?? commandId,
      $causationId: claim?.id ?? commandId,
      // Only a signature proves who asked; without one the event must not put words into an executor's mouth.
      actor: claim ? { kind: 'executor', id: executorId } : { kind: 'service', id: 'vault' },
      origin: { channel: 'executor' },
      at,
      command: 'release-credential',
    },
  }
}
