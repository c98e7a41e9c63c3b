import { type Bus, BusError, requestJson } from '../infra/bus.ts'
import { hpkeOpen, newHpkeKeyPair, type ReleaseContext, releaseInfo } from '../infra/hpke.ts'
import { type Identity, releaseSignedText } from '../infra/identity.ts'
import { releasedSecret, releaseReply, subjects } from '../schemas/bus.ts'
import type { UsableSecret } from '../schemas/credential.ts'
import { SshFailure } from './ssh/failure.ts'
import { backoffMs, pause } from './wait.ts'

/** The vault answers in milliseconds; when it is slow rather than gone, a later try gives it longer. */
const FIRST_ANSWER_MS = 1_500
const LONGEST_ANSWER_MS = 6_000
const TRIES_MS = 20_000

export type ReleaseFor = Omit<ReleaseContext, 'executorId'>

/** Asks the vault for secrets: each time with a new key for the answer, signed by this executor's identity. */
export class SecretSource {
  readonly #bus: Bus
  readonly #identity: Identity
  readonly #executorId: string

  constructor(options: { bus: Bus; identity: Identity; executorId: string }) {
    this.#bus = options.bus
    this.#identity = options.identity
    this.#executorId = options.executorId
  }

  /** Rejects with SshFailure `credential-unavailable` when the vault refuses, or does not answer for twenty seconds. */
  async release(of: ReleaseFor, signal: AbortSignal): Promise<UsableSecret> {
    const since = performance.now()
    for (let failures = 0; ; failures += 1) {
      const answer = await this.#ask(of, Math.min(FIRST_ANSWER_MS * 2 ** failures, LONGEST_ANSWER_MS))
      if (answer.secret) return answer.secret
      if (!answer.again || signal.aborted || performance.now() - since > TRIES_MS) {
        throw new SshFailure('credential-unavailable', answer.why)
      }
      await pause(backoffMs(failures, 1_000), signal)
    }
  }

  async #ask(of: ReleaseFor, timeoutMs: number): Promise<{ secret?: UsableSecret; again: boolean; why: string }> {
    const pair = newHpkeKeyPair()
    const { runId, n, epoch, credentialId, version, stepId } = of
    const purpose = stepId === undefined ? {} : { stepId }
    const facts = { runId, n, epoch, credentialId, version, ...purpose, ephemeralKey: pair.publicKey }
    const signature = this.#identity.sign(releaseSignedText(facts))
    const request = { ...facts, executorId: this.#executorId, signature }
    try {
      const reply = await requestJson(this.#bus, subjects.vaultRelease, releaseReply, request, { timeoutMs })
      if ('error' in reply) return { again: reply.error === 'unavailable', why: `the vault: ${reply.detail}` }
      const info = releaseInfo({ ...facts, executorId: this.#executorId })
      return { secret: parse(hpkeOpen(pair, info, reply)), again: false, why: '' }
    } catch (error) {
      if (error instanceof BusError) return { again: true, why: `the vault does not answer (${error.name})` }
      return { again: false, why: 'what the vault answered could not be opened' }
    }
  }
}

/** The bytes are wiped; the strings parsed from them are let go as soon as they were used. */
function parse(plaintext: Uint8Array): UsableSecret {
  const bytes = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength)
  try {
    return releasedSecret.parse(JSON.parse(bytes.toString('utf8')))
  } finally {
    bytes.fill(0)
  }
}
