import { z } from 'zod'
import { ProblemError, parseInput, parseStrictJson, toProblem } from '../infra/http/index.ts'
import { type Problem, problem } from '../schemas/problems.ts'
import type { Answer } from './dispatch.ts'
import type { RunPlan } from './plan-run.ts'
import { type Envelope, idempotencyKey } from './request-meta.ts'

export const bulkLine = z.strictObject({
  command: z.string().min(1).max(60),
  data: z.record(z.string(), z.unknown()),
  idempotencyKey: idempotencyKey.optional(),
})
export const bulkAnswer = z.object({
  line: z.int().min(1),
  status: z.int(),
  answer: z.unknown().optional(),
  problem: z.unknown().optional(),
})
type BulkAnswer = z.output<typeof bulkAnswer>
type Line = { number: number; bytes: Uint8Array } | { number: number; refused: ProblemError }

export const MAX_LINES = 1_000
const MAX_LINE_BYTES = 1_048_576
const AT_ONCE = 16

export type BulkDeps = {
  execute(name: string, body: unknown, envelope: Envelope): Promise<Answer | RunPlan>
  statusOf(name: string, answer: Answer | RunPlan): number
  /** Hears of every line that is refused. */
  refused(problem: Problem, error: unknown): void
}

/**
 * Answers NDJSON with NDJSON: one line each, in order. Lines are worked on side by side, those about the same resource
 * one after the other; a line that is refused does not stop the rest.
 */
export async function* bulk(
  deps: BulkDeps,
  body: AsyncIterable<Uint8Array>,
  envelope: Envelope,
): AsyncGenerator<string> {
  const inOrder = createOrder()
  const pending: Array<Promise<BulkAnswer>> = []
  for await (const line of splitLines(body)) {
    pending.push(answerTo(deps, line, envelope, inOrder))
    if (pending.length >= AT_ONCE) yield* take(pending)
  }
  while (pending.length > 0) yield* take(pending)
}

async function* take(pending: Array<Promise<BulkAnswer>>): AsyncGenerator<string> {
  const answer = await pending.shift()
  yield `${JSON.stringify(answer)}\n`
}

async function answerTo(deps: BulkDeps, line: Line, envelope: Envelope, inOrder: Order): Promise<BulkAnswer> {
  try {
    if ('refused' in line) throw line.refused
    const { command, data, idempotencyKey } = parseInput(bulkLine, parseStrictJson(line.bytes))
    const work = () => deps.execute(command, data, { ...envelope, idempotencyKey, expected: undefined })
    const answer = await inOrder(resourceOf(data), work)
    return { line: line.number, status: deps.statusOf(command, answer), answer }
  } catch (error) {
    const told = toProblem(error)
    deps.refused(told, error)
    return { line: line.number, status: told.status, problem: told }
  }
}

/** The id a command is about; none for one that creates something under a minted id. */
const resourceOf = (data: Record<string, unknown>): string | undefined =>
  ['runId', 'targetId', 'credentialId', 'jobId'].map(key => data[key]).find(id => typeof id === 'string')

type Order = (key: string | undefined, work: () => Promise<Answer | RunPlan>) => Promise<Answer | RunPlan>

function createOrder(): Order {
  const last = new Map<string, Promise<unknown>>()
  return (key, work) => {
    const before = key === undefined ? undefined : last.get(key)
    const mine = before ? before.then(work, work) : work()
    if (key !== undefined) last.set(key, mine)
    return mine
  }
}

/** Cuts bytes at newlines without ever holding more than one line of the allowed length. Empty lines count for nothing. */
async function* splitLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let number = 1
  let held: Uint8Array[] = []
  let size = 0
  const end = (): Line | undefined => {
    const bytes = Buffer.concat(held)
    const tooLong = size > MAX_LINE_BYTES
    held = []
    size = 0
    if (tooLong)
      return { number: number++, refused: new ProblemError('body-too-large', 'The line is longer than 1 MiB') }
    return isBlank(bytes) ? undefined : { number: number++, bytes }
  }
  for await (const chunk of body) {
    let from = 0
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      hold(chunk.subarray(from, at))
      from = at + 1
      const line = end()
      if (line && line.number > MAX_LINES) return yield tooMany(line.number)
      if (line) yield line
    }
    hold(chunk.subarray(from))
  }
  const rest = end()
  if (rest) yield rest.number > MAX_LINES ? tooMany(rest.number) : rest

  function hold(part: Uint8Array): void {
    size += part.length
    if (size > MAX_LINE_BYTES) held = []
    else held.push(part)
  }
}

const isBlank = (bytes: Uint8Array) => bytes.every(byte => byte === 32 || byte === 9 || byte === 13)

const tooMany = (number: number): Line => ({
  number,
  refused: new ProblemError('body-too-large', `At most ${MAX_LINES} lines: this one and the rest were not read`),
})

/** An example of each answer, for the API description. */
export const bulkExample = {
  line: 2,
  status: 404,
  problem: problem('unknown-command', 'Did you mean create-target?'),
} satisfies BulkAnswer
