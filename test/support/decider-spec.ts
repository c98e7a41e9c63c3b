import type { Test } from 'tap'
import { type Decider, fold, type Message } from '../../command-api/domain/decider.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { ProblemCode } from '../../schemas/problems.ts'

const someId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
export const specMeta: Meta = {
  commandId: someId,
  $correlationId: someId,
  $causationId: someId,
  actor: { kind: 'api-key', id: 'ann' },
  origin: { channel: 'api' },
  at: '2030-01-01T00:00:00.000Z',
}

/** Given this history, when this command comes, then these events follow, nothing does, or it is refused. */
export function specFor<S, C extends Message, E extends Message, F>(t: Test, decider: Decider<S, C, E, F>) {
  return {
    given: (...history: E[]) => ({
      when: (command: C, ...[facts]: undefined extends F ? [F?] : [F]) => {
        // The tuple type above lets facts be left out only where undefined is one of F.
        const run = () => decider.decide(command, fold(decider, history), specMeta, facts as F)
        return {
          thenRecords: (...expected: E[]) => t.strictSame(plain(run()), plain(expected)),
          thenNothing: () => t.strictSame(run(), []),
          thenRejects: (code: ProblemCode) => t.throws(run, { name: 'DomainError', code }),
        }
      },
    }),
  }
}

/** As it would be stored: undefined fields left out, keys in one order. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value, inOrder))
const inOrder = (_key: string, value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value
