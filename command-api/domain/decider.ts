import type { StreamCategory } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { type Problem, type ProblemCode, ProblemError } from '../../schemas/problems.ts'

export type Message = { type: string; data: unknown }

/**
 * The rules of one kind of stream, pure: `decide` answers with the events a command leads to, `[]` when there is
 * nothing to do, or throws a DomainError. `facts` is what was looked up for the command beforehand.
 */
export type Decider<S, C extends Message, E extends Message, F> = {
  category: StreamCategory
  streamOf(data: C['data']): string
  initial: S
  evolve(state: S, event: E): S
  decide(command: C, state: S, meta: Meta, facts: F): E[]
}

/** The rules forbid the command: an expected answer, not a fault. */
export class DomainError extends ProblemError {
  override name = 'DomainError'
  declare readonly detail: string
  constructor(code: ProblemCode, detail: string, errors?: Problem['errors']) {
    super(code, detail, errors)
  }
}

/** A command whose resource id is known: the edge mints the id that a request may leave out. */
export type Identified<C, K extends string> = C extends { type: infer T; data: infer D }
  ? { type: T; data: Omit<D, K> & Record<K, string> }
  : never

/** The state a history leads to. */
export function fold<S, E extends Message>(decider: { initial: S; evolve(s: S, e: E): S }, history: readonly E[]): S {
  return history.reduce((state, event) => decider.evolve(state, event), decider.initial)
}
