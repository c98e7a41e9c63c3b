import { createHash } from 'node:crypto'
import { z } from 'zod'
import { ArtifactError, type ArtifactStore, type RecordArtifact, type Upload, type Whole } from '../infra/artifacts.ts'
import type { Clock } from '../infra/clock.ts'
import { EventStoreUnavailable } from '../infra/event-store/port.ts'
import { type HttpServer, ProblemError } from '../infra/http/index.ts'
import type { Ids } from '../infra/ids.ts'
import { isUnavailable } from '../infra/postgres.ts'
import { ARTIFACT_CHUNK_BYTES } from '../schemas/bus.ts'
import { sha256 } from '../schemas/kernel.ts'
import type { Dispatcher } from './dispatch.ts'
import { metaOf } from './execute.ts'
import { commandHeaders, envelopeOf } from './request-meta.ts'

const contentType = 'application/octet-stream'
const binary = z.string().meta({ format: 'binary' })
const stored = z.object({ sha256, bytes: z.int().min(0) })
const example = { sha256: createHash('sha256').digest('hex'), bytes: 0 }

export type UploadDeps = { artifacts: ArtifactStore; dispatcher: Dispatcher; clock: Clock; ids: Ids }

/** Takes a file that steps write to targets. The file itself is outside the log, like output; that it came is not. */
export function registerArtifactUpload(http: HttpServer, deps: UploadDeps): void {
  const { artifacts, dispatcher, ids } = deps
  const api = {
    operationId: 'upload-artifact',
    tag: 'artifacts',
    summary: 'Store a file for steps to write to targets',
    description: 'The body is the file itself, at most 1 GiB. It is known by its SHA-256; the same file twice is one.',
    headers: commandHeaders.pick({ 'X-Justification': true, 'X-Ticket': true }),
    body: { contentType, schema: binary },
    answers: { 201: { description: 'Stored, durable', schema: stored, example } },
    problems: [
      ...(['unsupported-media-type', 'body-too-large', 'artifact-store-full'] as const),
      ...(['read-model-unavailable', 'event-store-unavailable'] as const),
    ],
  }
  const config = { permission: 'artifact:write', consumes: contentType, api } as const
  http.post('/v1/artifacts', { config }, async (request, reply) => {
    const meta = metaOf(deps, 'store-artifact', envelopeOf(request), ids.next())
    const upload = { uploadId: ids.next(), owner: `api ${meta.actor.id}` }
    const record: RecordArtifact = async data =>
      void (await dispatcher.dispatch('artifact', { type: 'store-artifact', data }, { meta, facts: undefined }))
    try {
      // The parser for this type hands over the stream itself.
      const whole = await take({ artifacts, upload, record }, request.body as AsyncIterable<Buffer>)
      reply.code(201)
      return whole
    } catch (error) {
      await artifacts.abandon(upload).catch(() => undefined)
      // What still comes is not read.
      reply.header('connection', 'close')
      throw refusal(error)
    }
  })
}

type Taking = { artifacts: ArtifactStore; upload: Upload; record: RecordArtifact }

async function take({ artifacts, upload, record }: Taking, body: AsyncIterable<Buffer>): Promise<Whole> {
  const hash = createHash('sha256')
  let held: Buffer[] = []
  let [heldBytes, bytes, index] = [0, 0, 0]
  const put = async (length: number) => {
    const all = Buffer.concat(held)
    held = [all.subarray(length)]
    heldBytes = all.length - length
    await artifacts.addChunk(upload, index, all.subarray(0, length))
    index += 1
  }
  for await (const part of body) {
    hash.update(part)
    bytes += part.length
    held.push(part)
    heldBytes += part.length
    while (heldBytes >= ARTIFACT_CHUNK_BYTES) await put(ARTIFACT_CHUNK_BYTES)
  }
  if (heldBytes > 0) await put(heldBytes)
  const whole = { sha256: hash.digest('hex'), bytes }
  await artifacts.finish(upload, whole, record)
  return whole
}

function refusal(error: unknown): unknown {
  if (error instanceof EventStoreUnavailable)
    return new ProblemError('event-store-unavailable', 'The file is not stored: send it again')
  if (isUnavailable(error)) return new ProblemError('read-model-unavailable')
  if (!(error instanceof ArtifactError)) return error
  switch (error.code) {
    case 'too-large':
      return new ProblemError('body-too-large', error.message)
    case 'quota':
      return new ProblemError('artifact-store-full')
    case 'mismatch':
    case 'incomplete':
    case 'forbidden':
      return new ProblemError('internal')
  }
}
