/** What a TAP stream told so far. Only points that are not the summary of a subtest are counted. */
export type Results = { passed: number; failed: number; skipped: string[] }

const POINT = /^( *)(not )?ok \d+(?: - )?(.*)$/
const SUBTEST = /^( *)# Subtest: (.*)$/
const SKIP = /# SKIP\s*(.*)$/
const EMPTY = /# SKIP no tests found/
const TODO = /# TODO\b/

type Open = { indent: number; name: string; failedBefore: number }

/**
 * Reads the TAP of a whole run, line by line. A file that fails without a failed point of its own (it crashed, timed
 * out or planned more than it ran) counts as one failure, and so does a file without any point.
 */
export class TapReader {
  readonly results: Results = { passed: 0, failed: 0, skipped: [] }
  readonly #open: Open[] = []

  /** Takes one line; answers a file's result when the line ends a file's tests. */
  line(text: string): { file: string; ok: boolean } | undefined {
    const opening = SUBTEST.exec(text)
    if (opening) {
      const [, blanks = '', name = ''] = opening
      this.#open.push({ indent: blanks.length, name, failedBefore: this.results.failed })
      return undefined
    }
    const point = POINT.exec(text)
    if (!point) return undefined
    const [, blanks = '', not, description = ''] = point
    const ok = not === undefined || TODO.test(description)
    const subtest = this.#open.at(-1)
    if (subtest?.indent !== blanks.length) {
      this.#leaf(ok, description)
      return undefined
    }
    this.#open.pop()
    return this.#summary(subtest, ok, description)
  }

  #leaf(ok: boolean, description: string): void {
    const skip = SKIP.exec(description)
    if (skip && ok) this.#skipped(description)
    else if (ok) this.results.passed += 1
    else this.results.failed += 1
  }

  #summary(subtest: Open, passed: boolean, description: string): { file: string; ok: boolean } | undefined {
    const ok = passed && !EMPTY.test(description)
    if (ok && SKIP.test(description)) this.#skipped(description)
    if (!ok && this.results.failed === subtest.failedBefore) this.results.failed += 1
    return subtest.indent === 0 ? { file: subtest.name, ok } : undefined
  }

  #skipped(description: string): void {
    this.results.skipped.push(description.replace(/\s*# time=\S+/, '').replace('# SKIP', 'skipped:'))
  }
}
