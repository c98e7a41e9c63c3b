import type { Logger } from 'pino'
import { type Bus, BusError, requestJson } from '../infra/bus.ts'
import type { Secret } from '../infra/config.ts'
import { enrolSignedText, type Identity } from '../infra/identity.ts'
import type { Check } from '../infra/lifecycle.ts'
import { PROGRAM_VERSION } from '../infra/version.ts'
import { enrolReply, PROTOCOL, subjects } from '../schemas/bus.ts'

export type MembershipOptions = {
  bus: Bus
  identity: Identity
  executorId: string
  /** Used when the control plane says that it does not know this executor, and then no more. */
  token: Secret | undefined
  log: Logger
}

const ANSWER_MS = 10_000
/** Refusals that a token may put right. */
const curable = new Set(['executor-not-enrolled', 'executor-revoked'])
/** What the control plane may have against this executor; anything else passes, as `wrong-pool` does with a heartbeat. */
const refusals = new Set([...curable, 'protocol-not-supported', 'wrong-signature', 'clock-skew'])

/** Whether the control plane takes this executor for one of its own, and how it becomes one. */
export class Membership {
  readonly #options: MembershipOptions
  #token: Secret | undefined
  #refusal: string | undefined
  #asked = false

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#token = options.token
  }

  /** Work was given out, or none was there. */
  accepted(): void {
    if (this.#refusal !== undefined) this.#options.log.info('the control plane takes this executor again')
    this.#asked = true
    this.#refusal = undefined
  }

  /** A request for work was refused. Answers the pool it has been let into meanwhile: then it is worth asking again. */
  async refused(code: string, detail: string): Promise<string | undefined> {
    if (!refusals.has(code)) return undefined
    if (curable.has(code) && this.#token) return await this.#enrol(this.#token)
    this.#refuse(code, detail)
    return undefined
  }

  check(): Check {
    if (this.#refusal !== undefined) return { name: 'enrolment', ok: false, detail: this.#refusal }
    return { name: 'enrolment', ok: true, detail: this.#asked ? 'enrolled' : 'the control plane was not heard of yet' }
  }

  async #enrol(token: Secret): Promise<string | undefined> {
    const { bus, identity, executorId, log } = this.#options
    const facts = { executorId, publicKey: identity.publicKey, version: PROGRAM_VERSION, protocol: PROTOCOL }
    const secret = { ...facts, token: token.reveal() }
    const request = { ...secret, signature: identity.sign(enrolSignedText(secret)) }
    try {
      const reply = await requestJson(bus, subjects.enrol, enrolReply, request, { timeoutMs: ANSWER_MS })
      this.#token = undefined
      if (reply.status === 'refused') {
        this.#refuse(reply.code, reply.detail)
        return undefined
      }
      log.info({ pool: reply.pool }, 'enrolled')
      return reply.pool
    } catch (err) {
      if (!(err instanceof BusError)) throw err
      log.debug({ err }, 'the enrolment was not answered')
      return undefined
    }
  }

  #refuse(code: string, detail: string): void {
    const said = `${code}: ${detail}`
    if (this.#refusal === said) return
    this.#refusal = said
    const way = curable.has(code) ? '; it needs a token: opsconductor executor token' : ''
    this.#options.log.error({ code }, `the control plane gives this executor no work: ${detail}${way}`)
  }
}
