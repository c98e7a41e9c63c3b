import { Readable } from 'node:stream'
import { z } from 'zod'
import { type HttpServer, ProblemError, parseInput, type Reply } from '../infra/http/index.ts'
import { id } from '../schemas/kernel.ts'
import { stepRunId } from '../schemas/steps/base.ts'
import { attempt, n, outputStream } from '../schemas/target-run.ts'
import { type ChunkRow, chunkColumns, chunkView, outputChunk } from './output-chunk.ts'
import { type AttemptKey, chunksOf, clip, gapsOf, newestAttempt, type Range, sealedBytes } from './output-range.ts'
import { Conditions, limit } from './paging.ts'
import type { Reader } from './reader.ts'
import { holderOf } from './route.ts'
import { mustSeeRun } from './runs/item.ts'

/** Bytes of one JSON answer; text and raw answers are as long as the output. */
const MAX_JSON_BYTES = 1_048_576

const offset = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const params = z.strictObject({ id })
const query = z
  .strictObject({
    n: z.coerce.number().pipe(n).optional().describe('Of one target; without it, of all of them'),
    step: stepRunId.optional().describe('Of one step on one target: then as a range of bytes'),
    attempt: z.coerce.number().pipe(attempt).optional().describe('Default: the newest'),
    stream: outputStream.optional(),
    from: offset.default(0).describe('First byte, counted over both streams of the attempt'),
    length: offset.optional().describe('At most so many bytes; JSON gives at most 1 MiB at a time'),
    format: z.enum(['json', 'text', 'raw']).default('json').describe('text and raw need n and step'),
    after: z
      .string()
      .regex(/^\d{1,18}$/)
      .default('0')
      .describe('Without step: chunks after this outputSeq'),
    limit,
  })
  .refine(q => q.step === undefined || q.n !== undefined, { path: ['n'], message: 'needed with step' })
  .refine(q => q.format === 'json' || q.step !== undefined, { path: ['step'], message: 'needed for text and raw' })
type OutputQuery = z.output<typeof query>

const answer = z.object({
  items: z.array(outputChunk),
  next: z.string().nullable().describe('`from` of the range after this one; without step, `after` of the next chunks'),
  gaps: z.array(z.object({ from: z.int(), to: z.int() })).describe('Bytes that are missing, `to` not included'),
  complete: z.boolean().describe('The step has ended and its output is known to end here'),
})

/** What steps printed: chunks in order of arrival, or a range of bytes of one step on one target. */
export function registerOutput(http: HttpServer, reader: Reader): void {
  const api = {
    operationId: 'get-run-output',
    tag: 'runs',
    summary: 'What the steps of a run printed',
    description:
      'JSON with base64 chunks, `format=text`, or `format=raw` as a download. Missing bytes are named in `gaps`, ' +
      'for text and raw in the header X-Output-Gaps (from-to, to not included).',
    params,
    query: z.strictObject(query.shape),
    answers: { 200: { description: 'The output', schema: answer } },
    problems: ['run-not-found', 'target-run-not-found'] as const,
  }
  http.get('/v1/runs/:id/output', { config: { permission: 'run:read', api } }, async (request, reply) => {
    const { id: runId } = parseInput(params, request.params)
    const wanted = parseInput(query, request.query)
    await mustSeeRun(readRows(reader), holderOf(request), runId)
    if (wanted.step === undefined || wanted.n === undefined) return await arrivals(reader, runId, wanted)
    const newest = wanted.attempt ?? (await newestAttempt(readRows(reader), runId, wanted.n, wanted.step))
    if (newest === undefined) throw new ProblemError('target-run-not-found', 'that step never started on that target')
    return await range(reader, reply, { runId, n: wanted.n, step: wanted.step, attempt: newest }, wanted)
  })
}

const readRows =
  (reader: Reader) =>
  <Row>(text: string, values?: unknown[]) =>
    reader.query<Row>(text, values)

async function arrivals(reader: Reader, runId: string, wanted: OutputQuery) {
  const conditions = new Conditions()
  conditions.add('run_id = ?', runId)
  conditions.add('output_seq > ?::bigint', wanted.after)
  if (wanted.n !== undefined) conditions.add('n = ?', wanted.n)
  if (wanted.stream !== undefined) conditions.add('stream = ?', wanted.stream)
  const most = conditions.parameter(wanted.limit + 1)
  const rows = await reader.query<ChunkRow>(
    `select ${chunkColumns} from output.run_output where ${conditions.text} order by output_seq limit ${most}`,
    conditions.values,
  )
  const items = rows.slice(0, wanted.limit).map(chunkView)
  const next = rows.length > wanted.limit ? (items.at(-1)?.outputSeq ?? null) : null
  return { items, next, gaps: [], complete: false }
}

async function range(reader: Reader, reply: Reply, key: AttemptKey, wanted: OutputQuery) {
  const rows = readRows(reader)
  const sealed = await sealedBytes(rows, key)
  const gaps = await gapsOf(rows, key, sealed)
  const most = wanted.format === 'json' ? MAX_JSON_BYTES : Number.MAX_SAFE_INTEGER
  const to = Math.min(wanted.from + Math.min(wanted.length ?? most, most), Number.MAX_SAFE_INTEGER)
  const span: Range = { from: wanted.from, to }
  const chunks = chunksOf(rows, key, span, wanted.stream)
  const missing = clip(gaps, span)
  if (wanted.format !== 'json') return sendBytes(reply, key, wanted.format, missing, chunks)
  const items = []
  for await (const chunk of chunks) items.push(chunkView(chunk))
  const complete = sealed !== undefined && sealed <= to
  const more = sealed === undefined ? items.length > 0 : sealed > to
  return { items, next: more && !complete ? String(nextByte(items, to)) : null, gaps: missing, complete }
}

/** While a step still prints, the next range begins where this one had to stop. */
function nextByte(items: ReadonlyArray<ReturnType<typeof chunkView>>, to: number): number {
  const last = items.at(-1)
  if (!last) return to
  return Math.min(to, last.byteOffset + Buffer.byteLength(last.data, 'base64'))
}

/** Output is never shown by a browser as anything but text, whatever a step printed. */
function sendBytes(
  reply: Reply,
  { runId, n, step, attempt }: AttemptKey,
  format: 'text' | 'raw',
  gaps: readonly Range[],
  chunks: AsyncIterable<ChunkRow>,
): Reply {
  if (gaps.length > 0) reply.header('x-output-gaps', gaps.map(gap => `${gap.from}-${gap.to}`).join(', '))
  const name = `run-${runId}-${n}-${step}-${attempt}.log`
  if (format === 'raw') reply.header('content-disposition', `attachment; filename="${name}"`)
  reply
    .header('content-type', format === 'raw' ? 'application/octet-stream' : 'text/plain; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-store')
  return reply.send(Readable.from(bytesOf(chunks), { objectMode: false }))
}

async function* bytesOf(chunks: AsyncIterable<ChunkRow>): AsyncGenerator<Buffer> {
  for await (const { data } of chunks) yield data
}
