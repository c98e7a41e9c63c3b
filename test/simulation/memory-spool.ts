import type { Grant, Held, ReportSpool } from '../../executors/spool/report-spool.ts'
import type { ReportMessage } from '../../schemas/bus.ts'

const heldKey = ({ runId, n, epoch }: Held) => `${runId}.${n}.${epoch}`
const grantKey = (of: Held & { stepId: string; attempt: number }) => `${heldKey(of)}.${of.stepId}.${of.attempt}`
const FSYNC_MS = 1
const SLOW_FSYNC_MS = 3_000

/** What an executor's spool remembers, here in memory that outlives the simulated process. */
export class MemorySpool {
  readonly #held = new Map<string, Held>()
  readonly #grants = new Map<string, Grant>()
  readonly #reports = new Map<string, ReportMessage>()
  /** From 0 to 1; what is close to 1 takes long. */
  readonly #chance: () => number

  constructor(chance: () => number) {
    this.#chance = chance
  }

  held = (): Held[] => [...this.#held.values()]
  grants = (): Grant[] => [...this.#grants.values()]
  reports = (): ReportMessage[] => [...this.#reports.values()]

  hold(held: Held): void {
    this.#held.set(heldKey(held), held)
  }

  release(held: Held): void {
    this.#held.delete(heldKey(held))
  }

  grant(grant: Grant): Promise<void> {
    this.#grants.set(grantKey(grant), grant)
    return this.#synced()
  }

  report(message: ReportMessage): Promise<void> {
    this.#reports.set(message.reportId, message)
    const { type, data } = message.report
    if (type === 'report-cancelled' && data.stepId !== undefined && data.attempt !== undefined)
      this.#grants.delete(grantKey({ ...data, stepId: data.stepId, attempt: data.attempt }))
    if (type === 'succeed-step' || type === 'fail-step' || type === 'report-step-lost')
      this.#grants.delete(grantKey(data))
    return this.#synced()
  }

  done(reportId: string): void {
    this.#reports.delete(reportId)
  }

  #synced(): Promise<void> {
    const slow = this.#chance() > 0.97 ? this.#chance() * SLOW_FSYNC_MS : 0
    return new Promise(resolve => setTimeout(resolve, FSYNC_MS + slow))
  }

  /** The disk is gone. */
  lose(): void {
    for (const part of [this.#held, this.#grants, this.#reports]) part.clear()
  }

  /** The executor's parts take the real one, which keeps the same in files; they use nothing but these methods. */
  get asReportSpool(): ReportSpool {
    return this as unknown as ReportSpool
  }
}
