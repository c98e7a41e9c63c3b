import { TemplateError } from './template-error.ts'

/** Nothing decides in its place, not even the other side of an `||`. */
export class TooCostly extends TemplateError {
  override name = 'TooCostly'
}

const MOST_WORK = 200_000
const MOST_TEXT = 4_194_304

/**
 * What one evaluation may cost. CEL has no endless loops, but nested macros over long lists come close; about 10 ms
 * are let pass.
 */
export class Budget {
  #work = MOST_WORK
  #text = MOST_TEXT

  spend(work: number): void {
    this.#work -= work
    if (this.#work < 0) throw new TooCostly('the expression takes too much work with these values')
  }

  /** For text that is made: its length is paid for before it exists. */
  write(length: number): void {
    this.#text -= length
    this.spend(length >> 6)
    if (this.#text < 0) throw new TooCostly('the expression makes too much text with these values')
  }
}
