import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { z } from 'zod'

/** What a client knows of a command it sent: nothing but what it was told. */
const entry = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('sent'), key: z.string(), command: z.string() }),
  z.strictObject({ outcome: z.literal('acked'), key: z.string(), events: z.array(z.string()) }),
  z.strictObject({ outcome: z.literal('rejected'), key: z.string(), code: z.string() }),
])
type Entry = z.output<typeof entry>
export type Known = { command: string } & (
  | { outcome: 'acked'; events: string[] }
  | { outcome: 'rejected'; code: string }
  | { outcome: 'unknown' }
)

/** Every command a client sends, and what it was answered, durable before anything else is done about it. */
export class ClientLedger {
  /** When commands were acknowledged, in milliseconds of the wall clock. */
  readonly acks: number[] = []
  readonly #file: string
  readonly #fd: number

  constructor(file: string) {
    this.#file = file
    this.#fd = openSync(file, 'a', 0o600)
  }

  write(line: Entry): void {
    writeSync(this.#fd, `${JSON.stringify(line)}\n`)
    fsyncSync(this.#fd)
    if (line.outcome === 'acked') this.acks.push(Date.now())
  }

  /** By Idempotency-Key; what was sent and never answered is unknown. Ends the ledger. */
  read(): Map<string, Known> {
    closeSync(this.#fd)
    const known = new Map<string, Known>()
    const lines = readFileSync(this.#file, 'utf8').split('\n').filter(Boolean)
    for (const line of lines.map(text => entry.parse(JSON.parse(text)))) {
      const command = known.get(line.key)?.command ?? ''
      if (line.outcome === 'sent') known.set(line.key, { outcome: 'unknown', command: line.command })
      else if (line.outcome === 'acked') known.set(line.key, { outcome: 'acked', command, events: line.events })
      else known.set(line.key, { outcome: 'rejected', command, code: line.code })
    }
    return known
  }
}
