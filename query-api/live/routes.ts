import { z } from 'zod'
import type { Bus } from '../../infra/bus.ts'
import { type Holder, type HttpServer, ProblemError, parseInput, type Request } from '../../infra/http/index.ts'
import type { Log } from '../../infra/log.ts'
import { id } from '../../schemas/kernel.ts'
import { parsePosition, positionText } from '../../schemas/position.ts'
import { auditFilters } from '../audit-row.ts'
import type { Reader } from '../reader.ts'
import { holderOf, waitMs } from '../route.ts'
import { maySeeRun, runById } from '../runs/item.ts'
import { EventStream } from './event-stream.ts'
import { sendFeed } from './feed-stream.ts'
import { beginning, parseCursor } from './run-cursor.ts'
import { RunStream } from './run-stream.ts'

export type LiveDeps = { http: HttpServer; reader: Reader; bus: Bus; log: Log }
/** Well below the second within which what was taken back has to be felt. */
const LOOK_MS = 200
const answers = { 200: { description: 'Server-sent events', contentType: 'text/event-stream' } }

export function registerLive(deps: LiveDeps): void {
  const open = new Map<EventStream, Allowed>()
  // Streams never end by themselves, and closing waits for every answer.
  let stopping = false
  deps.http.addHook('preClose', async () => {
    stopping = true
    clearInterval(looking)
    for (const client of open.keys()) client.leave()
  })
  // Whoever reads for hours is asked again and again whether they still may.
  const looking = setInterval(() => {
    for (const [client, isAllowed] of open) if (!isAllowed()) client.dismiss()
  }, LOOK_MS).unref()
  const serve: Serve = (client, work, isAllowed) => {
    open.set(client, isAllowed)
    // One that was asked for before the server began to stop, and is ready only now.
    if (stopping) client.leave()
    const failed = (err: unknown) => {
      deps.log.warn({ err }, 'a live stream broke off')
      client.leave()
    }
    void work.catch(failed).finally(() => open.delete(client))
  }
  registerRunEvents(deps, serve)
  registerFeed(deps, serve)
}

type Allowed = () => boolean
type Serve = (client: EventStream, work: Promise<void>, isAllowed: Allowed) => void

function registerRunEvents({ http, reader, bus }: LiveDeps, serve: Serve): void {
  const params = z.strictObject({ id })
  const api = {
    operationId: 'follow-run',
    tag: 'live',
    summary: 'Follow a run: its events and its output as they happen',
    description:
      'Events named `event` and `output`; `end` when all of it has been sent, `resume` when the client has to come ' +
      'back. Send the last id seen as Last-Event-ID to go on right after it.',
    params,
    answers,
    problems: ['run-not-found'] as const,
  }
  http.get('/v1/runs/:id/events', { config: { permission: 'run:read', api } }, async (request, reply) => {
    const { id: runId } = parseInput(params, request.params)
    parseInput(z.strictObject({}), request.query)
    const lastId = lastEventId(request)
    const from = lastId === undefined ? beginning : parseCursor(lastId)
    const holder = holderOf(request)
    const jobId = await untilKnown(reader, holder, runId, waitMs(request))
    const client = new EventStream(request, reply)
    serve(client, new RunStream({ runId, reader, bus, client, from }).run(), () => maySeeRun(holder, runId, jobId))
  })
}

/** Whoever has just triggered a run may be here before the read models are. Answers whose run it is. */
async function untilKnown(reader: Reader, holder: Holder, runId: string, waitMs: number): Promise<string> {
  const deadline = Date.now() + waitMs
  for (;;) {
    const hint = reader.hint(100)
    const [row] = await runById((text, values) => reader.query(text, values), holder, runId)
    if (row) return row.job_id
    if (Date.now() >= deadline) throw new ProblemError('run-not-found')
    await hint
  }
}

function registerFeed({ http, reader }: LiveDeps, serve: Serve): void {
  const query = z.strictObject({
    ...auditFilters,
    after: positionText.optional().describe('Begin after this position; default: with what happens from now on'),
  })
  const api = {
    operationId: 'follow-events',
    tag: 'live',
    summary: 'Follow everything that happens, as audit records',
    description: 'Events named `record`. Send the last id seen as Last-Event-ID to go on right after it.',
    query,
    answers,
  }
  http.get('/v1/events', { config: { permission: 'audit:read', api } }, async (request, reply) => {
    const { after, ...filters } = parseInput(query, request.query)
    const start = parseInput(positionText.optional(), lastEventId(request) ?? after)
    const from =
      start === undefined ? (await reader.read('audit', undefined, async () => null)).position : parsePosition(start)
    const holder = holderOf(request)
    const client = new EventStream(request, reply)
    serve(client, sendFeed({ reader, client, filters, holder, from }), () => holder.permits('audit:read'))
  })
}

function lastEventId(request: Request): string | undefined {
  const value = request.headers['last-event-id']
  return typeof value === 'string' && value !== '' ? value : undefined
}
