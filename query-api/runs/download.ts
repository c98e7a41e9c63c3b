import { Readable } from 'node:stream'
import { z } from 'zod'
import { type HttpServer, ProblemError, parseInput, type Reply, type Request } from '../../infra/http/index.ts'
import { id } from '../../schemas/kernel.ts'
import { stepRunId } from '../../schemas/steps/base.ts'
import { attempt, n } from '../../schemas/target-run.ts'
import { type AttemptKey, chunksOf, gapsOf, type Range, storedBytes } from '../output-range.ts'
import type { Query, Reader } from '../reader.ts'
import { holderOf } from '../route.ts'
import { byteRange } from './byte-range.ts'
import { mustSeeRun } from './item.ts'

const params = z.strictObject({
  id,
  n: z.coerce.number().pipe(n),
  step: stepRunId,
  attempt: z.coerce.number().pipe(attempt),
})
const headers = z.object({
  Range: z.string().optional().describe('One range of bytes, as RFC 9110 says'),
  'If-Range': z.string().optional().describe('The range only if the output still has this ETag, else all of it'),
})
const contentType = 'application/octet-stream'
const body = z.string().meta({ format: 'binary' })

/** What one attempt printed, byte for byte as it is stored: masked, escape sequences left as they came. */
export function registerOutputDownload(http: HttpServer, reader: Reader): void {
  const api = {
    operationId: 'download-output',
    tag: 'runs',
    summary: 'Download what one attempt of a step printed, also in parts',
    description:
      'Bytes as they are stored, stdout and stderr in the order they came. Where bytes were lost on the way, ' +
      'X-Output-Gaps names them (from-to, to not included) and no ranges are given.',
    params,
    headers,
    answers: {
      200: { description: 'All of it', contentType, schema: body },
      206: { description: 'The range', contentType, schema: body },
    },
    problems: ['run-not-found', 'target-run-not-found', 'range-not-satisfiable'] as const,
  }
  const url = '/v1/runs/:id/targets/:n/steps/:step/attempts/:attempt/output.raw'
  http.get(url, { config: { permission: 'run:read', api } }, async (request, reply) => {
    const { id: runId, ...at } = parseInput(params, request.params)
    const db: Query = (text, values) => reader.query(text, values)
    await mustSeeRun(db, holderOf(request), runId)
    const key = { runId, ...at }
    const [step] = await db<StepDbRow>(STEP, [runId, key.n, key.step, key.attempt])
    if (!step) throw new ProblemError('target-run-not-found', 'there was no such attempt on that target')
    return await send(request, reply, db, key, step)
  })
}

type StepDbRow = { output_bytes: string | null; output_sha256: string | null }
const STEP = `select output_bytes, output_sha256 from read_model.step_run
  where run_id = $1 and n = $2 and step_id = $3 and attempt = $4`

async function send(request: Request, reply: Reply, db: Query, key: AttemptKey, step: StepDbRow): Promise<Reply> {
  const sealed = step.output_bytes === null ? undefined : Number(step.output_bytes)
  const gaps = await gapsOf(db, key, sealed)
  const total = sealed ?? (await storedBytes(db, key))
  const etag = step.output_sha256 === null ? undefined : `"${step.output_sha256}"`
  if (gaps.length > 0) {
    describe(reply, key, etag)
    reply.header('accept-ranges', 'none').header('x-output-gaps', gaps.map(gap => `${gap.from}-${gap.to}`).join(', '))
    return reply.send(bytes(db, key, { from: 0, to: total }))
  }
  const wanted = isStillTheSame(request, etag) ? byteRange(request.headers.range, total) : undefined
  if (wanted === 'unsatisfiable') {
    reply.header('content-range', `bytes */${total}`)
    throw new ProblemError('range-not-satisfiable', `there are ${total} bytes`)
  }
  const span = wanted ?? { from: 0, to: total }
  describe(reply, key, etag)
  if (wanted) reply.code(206).header('content-range', `bytes ${span.from}-${span.to - 1}/${total}`)
  reply.header('accept-ranges', 'bytes').header('content-length', span.to - span.from)
  return reply.send(bytes(db, key, span))
}

/** Never shown by a browser as anything, whatever a step printed. */
function describe(reply: Reply, { runId, n, step, attempt }: AttemptKey, etag: string | undefined): void {
  if (etag !== undefined) reply.header('etag', etag)
  reply
    .header('content-type', contentType)
    .header('content-disposition', `attachment; filename="run-${runId}-${n}-${step}-${attempt}.log"`)
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-store')
}

function isStillTheSame(request: Request, etag: string | undefined): boolean {
  const condition = request.headers['if-range']
  return condition === undefined || condition === etag
}

function bytes(db: Query, key: AttemptKey, span: Range): Readable {
  return Readable.from(dataOf(db, key, span), { objectMode: false })
}

async function* dataOf(db: Query, key: AttemptKey, span: Range): AsyncGenerator<Buffer> {
  for await (const { data } of chunksOf(db, key, span, undefined)) yield data
}
