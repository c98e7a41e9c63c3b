import { ProblemError } from '../../infra/http/index.ts'
import type { LogPosition } from '../../schemas/events.ts'
import { formatPosition, parsePosition, positionText } from '../../schemas/position.ts'

/** How far a reader of a run is: through the run's events, and through its output. */
export type RunCursor = { position: LogPosition; output: bigint }

export const beginning: RunCursor = { position: { commit: -1n, prepare: -1n }, output: 0n }

/** The id of an event in the stream: `<position>.<outputSeq>`, `-` for a position before the first event. */
export function formatCursor({ position, output }: RunCursor): string {
  return `${position.commit < 0n ? '-' : formatPosition(position)}.${output}`
}

/** @throws ProblemError for what no stream of ours ever gave out. */
export function parseCursor(text: string): RunCursor {
  const [position = '', output = '', ...more] = text.split('.')
  const known = position === '-' || positionText.safeParse(position).success
  if (more.length > 0 || !known || !/^\d{1,18}$/.test(output)) {
    throw new ProblemError('invalid-input', undefined, [{ path: 'Last-Event-ID', message: 'not an id of this stream' }])
  }
  return { position: position === '-' ? beginning.position : parsePosition(position), output: BigInt(output) }
}
