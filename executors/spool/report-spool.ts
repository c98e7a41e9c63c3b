import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { ReportMessage } from '../../schemas/bus.ts'
import { RecordLog, type RecordLogOptions, syncFolder } from './record-log.ts'

export type Held = { runId: string; n: number; epoch: number }
/** A step that may have begun. `seq` is kept for its outcome. */
export type Grant = Held & { stepId: string; attempt: number; seq: number }

type SpoolRecord =
  | { kind: 'held'; held: Held }
  | { kind: 'released'; held: Held }
  | { kind: 'grant'; grant: Grant }
  | { kind: 'report'; message: ReportMessage }
  | { kind: 'done'; reportId: string }
  | { kind: 'complete' }

const COMPACT_BYTES = 4 * 1024 * 1024

/**
 * What this executor owes the control plane: target runs it holds, steps whose start it was granted, reports not yet
 * acknowledged. Survives a kill at any moment; the file is rewritten when most of it is done with.
 */
export class ReportSpool {
  readonly #folder: string
  readonly #options: RecordLogOptions
  readonly #state = new SpoolState()
  #log: RecordLog
  #generation: number

  private constructor(folder: string, options: RecordLogOptions, log: RecordLog, generation: number) {
    this.#folder = folder
    this.#options = options
    this.#log = log
    this.#generation = generation
  }

  /** Throws SpoolDamaged. */
  static async open(folder: string, options: RecordLogOptions): Promise<ReportSpool> {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const generation of generations(folder).reverse()) {
      const { log, records } = RecordLog.open(fileOf(folder, generation), options)
      // Our own file, checked by its CRC.
      const parsed = records.map(record => JSON.parse(record.payload.toString()) as SpoolRecord)
      if (!parsed.some(record => record.kind === 'complete')) {
        // A rewrite that a crash cut short: the file before it is still whole.
        await log.close()
        rmSync(log.file)
        continue
      }
      const spool = new ReportSpool(folder, options, log, generation)
      for (const record of parsed) spool.#state.apply(record)
      spool.#removeOlder()
      return spool
    }
    const { log } = RecordLog.open(fileOf(folder, 1), options)
    log.append(encode({ kind: 'complete' }))
    await log.flush()
    return new ReportSpool(folder, options, log, 1)
  }

  held = (): Held[] => [...this.#state.held.values()]
  grants = (): Grant[] => [...this.#state.grants.values()]
  reports = (): ReportMessage[] => [...this.#state.reports.values()]

  hold(held: Held): void {
    this.#append({ kind: 'held', held })
  }

  release(held: Held): void {
    this.#append({ kind: 'released', held })
  }

  /** Resolves when a restart would know that the step may have begun: only then may it begin. */
  grant(grant: Grant): Promise<void> {
    this.#append({ kind: 'grant', grant })
    return this.#log.flush()
  }

  /** Resolves when the report cannot be lost any more. */
  report(message: ReportMessage): Promise<void> {
    this.#append({ kind: 'report', message })
    return this.#log.flush()
  }

  /** The control plane has it. Need not be durable: a report sent twice is recorded once. */
  done(reportId: string): void {
    this.#append({ kind: 'done', reportId })
    if (this.#log.size > COMPACT_BYTES && this.#state.size() < COMPACT_BYTES / 4) this.#compact()
  }

  close(): Promise<void> {
    return this.#log.close()
  }

  #append(record: SpoolRecord): void {
    this.#state.apply(record)
    this.#log.append(encode(record))
  }

  #compact(): void {
    const old = this.#log
    this.#generation += 1
    this.#log = RecordLog.create(fileOf(this.#folder, this.#generation), this.#options)
    for (const record of this.#state.records()) this.#log.append(encode(record))
    this.#log.append(encode({ kind: 'complete' }))
    // Until the rewrite is durable the old file is what a restart reads; a failed flush ends the process anyway.
    const finish = this.#log.flush().then(async () => {
      await old.close()
      this.#removeOlder()
    })
    finish.catch(() => undefined)
  }

  #removeOlder(): void {
    for (const generation of generations(this.#folder)) {
      if (generation < this.#generation) rmSync(fileOf(this.#folder, generation))
    }
    syncFolder(this.#folder)
  }
}

class SpoolState {
  readonly held = new Map<string, Held>()
  readonly grants = new Map<string, Grant>()
  readonly reports = new Map<string, ReportMessage>()

  apply(record: SpoolRecord): void {
    switch (record.kind) {
      case 'held':
        this.held.set(heldKey(record.held), record.held)
        break
      case 'released':
        this.held.delete(heldKey(record.held))
        break
      case 'grant':
        this.grants.set(grantKey(record.grant), record.grant)
        break
      case 'report':
        this.reports.set(record.message.reportId, record.message)
        this.#close(record.message.report)
        break
      case 'done':
        this.reports.delete(record.reportId)
        break
      case 'complete':
        break
    }
  }

  records(): SpoolRecord[] {
    return [
      ...[...this.held.values()].map(held => ({ kind: 'held' as const, held })),
      ...[...this.grants.values()].map(grant => ({ kind: 'grant' as const, grant })),
      ...[...this.reports.values()].map(message => ({ kind: 'report' as const, message })),
    ]
  }

  /** Roughly, in bytes. */
  size(): number {
    return 300 * (this.held.size + this.grants.size) + 2_000 * this.reports.size
  }

  #close({ type, data }: ReportMessage['report']): void {
    if (type === 'report-cancelled') {
      const { stepId, attempt } = data
      if (stepId !== undefined && attempt !== undefined) this.grants.delete(grantKey({ ...data, stepId, attempt }))
    } else if (type === 'succeed-step' || type === 'fail-step' || type === 'report-step-lost') {
      this.grants.delete(grantKey(data))
    }
  }
}

const heldKey = ({ runId, n, epoch }: Held) => `${runId}.${n}.${epoch}`
const grantKey = (of: Held & { stepId: string; attempt: number }) => `${heldKey(of)}.${of.stepId}.${of.attempt}`
const encode = (record: SpoolRecord) => Buffer.from(JSON.stringify(record))
const fileOf = (folder: string, generation: number) =>
  path.join(folder, `reports.${String(generation).padStart(8, '0')}`)
const generations = (folder: string): number[] =>
  readdirSync(folder)
    .filter(name => /^reports\.\d+$/.test(name))
    .map(name => Number(name.slice('reports.'.length)))
    .sort((a, b) => a - b)
