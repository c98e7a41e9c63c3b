import type { Told } from './sim-log.ts'
import type { Process, Timeline } from './timeline.ts'

/** When each process came to know of what: what it was told by the log, and which reports reached it. */
export class Hearing {
  readonly #time: Timeline
  readonly #heard = new Map<string, number>()
  readonly #reports = new Map<string, number>()

  constructor(time: Timeline) {
    this.#time = time
  }

  heard(process: Process, event: Told): void {
    this.#heard.set(`${process.name} ${event.id}`, this.#time.now)
  }

  arrived(process: Process, subject: string, data: Uint8Array | string): void {
    if (!subject.startsWith('opsc.report.')) return
    const { reportId } = JSON.parse(Buffer.from(data as Uint8Array).toString())
    const key = `${process.name} ${reportId}`
    if (!this.#reports.has(key)) this.#reports.set(key, this.#time.now)
  }

  /** When the log told it of the event. */
  heardAt(process: string, event: Told): number | undefined {
    return this.#heard.get(`${process} ${event.id}`)
  }

  /** When a report first reached it. */
  arrivedAt(process: string, reportId: string): number | undefined {
    return this.#reports.get(`${process} ${reportId}`)
  }
}
