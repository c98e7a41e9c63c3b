const WIDTH = 30

/** One line at the bottom of a terminal that tells how far a run is; nothing where stderr is no terminal. */
export class ProgressLine {
  readonly #shown: boolean
  #text = ''

  constructor(shown: boolean) {
    this.#shown = shown
  }

  set(done: number, total: number, failed: number): void {
    this.#text = bar(done, total, failed)
    this.#draw()
  }

  /** Writes something that stays, above the line. */
  above(write: () => void): void {
    this.clear()
    write()
    this.#draw()
  }

  clear(): void {
    if (this.#shown && this.#text !== '') process.stderr.write('\r\x1b[K')
  }

  #draw(): void {
    if (this.#shown && this.#text !== '') process.stderr.write(`\r${this.#text}\x1b[K`)
  }
}

export function bar(done: number, total: number, failed: number): string {
  const share = total === 0 ? 0 : done / total
  const filled = Math.floor(share * WIDTH)
  const failures = failed > 0 ? `, ${failed} failed` : ''
  return `[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${Math.floor(share * 100)}% ${done}/${total}${failures}`
}
