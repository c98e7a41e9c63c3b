import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { ClientLedger } from './client-ledger.ts'
import type { Random } from './random.ts'

export type Said = { outcome: 'acked' } | { outcome: 'rejected'; code: string } | { outcome: 'unknown' }
export type ClientOptions = { url: string; apiKey: string; ledger: ClientLedger; random: Random }

const answerSchema = z.object({ events: z.array(z.object({ id: z.string() })) })
const problemSchema = z.object({ type: z.string() })
const ANSWER_MS = 10_000
/** Whoever got no answer asks again with the same key, this often. */
const TRIES = 300

/** Sends commands and keeps in the ledger what it was told of them. */
export class Client {
  readonly #options: ClientOptions
  readonly #headers: Record<string, string>

  constructor(options: ClientOptions) {
    this.#options = options
    this.#headers = { authorization: `Bearer ${options.apiKey}`, 'content-type': 'application/json' }
  }

  /** `patience`: how likely it is that it asks until it is answered. */
  async send(command: string, body: object, patience = 0.8): Promise<Said> {
    const { ledger, random } = this.#options
    const key = randomUUID()
    ledger.write({ outcome: 'sent', key, command })
    const tries = random.next() < patience ? TRIES : 1
    for (let attempt = 1; attempt <= tries; attempt += 1) {
      const said = await this.#once(command, body, key)
      if (said.outcome !== 'unknown') return said
      await delay(random.between(100, 600))
    }
    return { outcome: 'unknown' }
  }

  /** Undefined when there is no answer. */
  async get(path: string): Promise<unknown> {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS)
      const response = await fetch(`${this.#options.url}${path}`, { headers: this.#headers, signal })
      return response.ok ? await response.json() : undefined
    } catch {
      return undefined
    }
  }

  async #once(command: string, body: object, key: string): Promise<Said> {
    const { url, ledger } = this.#options
    try {
      const response = await fetch(`${url}/v1/commands/${command}`, {
        ...{ method: 'POST', headers: { ...this.#headers, 'idempotency-key': key }, body: JSON.stringify(body) },
        signal: AbortSignal.timeout(ANSWER_MS),
      })
      const said: unknown = await response.json()
      if (response.ok) {
        const { events } = answerSchema.parse(said)
        ledger.write({ outcome: 'acked', key, events: events.map(event => event.id) })
        return { outcome: 'acked' }
      }
      const code = problemSchema.parse(said).type.replace('urn:opsconductor:problem:', '')
      // Below 500 it was decided; a request in flight is one of our own that got no answer.
      if (response.status >= 500 || code === 'request-in-flight') return { outcome: 'unknown' }
      ledger.write({ outcome: 'rejected', key, code })
      return { outcome: 'rejected', code }
    } catch {
      return { outcome: 'unknown' }
    }
  }
}
