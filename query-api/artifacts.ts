import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { ArtifactError, type ArtifactStore, type Upload } from '../infra/artifacts.ts'
import { type HttpServer, ProblemError, parseInput } from '../infra/http/index.ts'
import type { Ids } from '../infra/ids.ts'
import { ARTIFACT_CHUNK_BYTES } from '../schemas/bus.ts'
import { sha256 } from '../schemas/kernel.ts'

const contentType = 'application/octet-stream'
const binary = z.string().meta({ format: 'binary' })
const params = z.strictObject({ sha256 })
const stored = z.object({ sha256, bytes: z.int().min(0) })
const example = { sha256: createHash('sha256').digest('hex'), bytes: 0 }

/** Files that steps write to targets or have fetched from them. They are outside the log, like output. */
export function registerArtifacts(http: HttpServer, { store, ids }: { store: ArtifactStore; ids: Ids }): void {
  registerUpload(http, store, ids)
  registerDownload(http, store)
}

function registerUpload(http: HttpServer, store: ArtifactStore, ids: Ids): void {
  const api = {
    operationId: 'upload-artifact',
    tag: 'artifacts',
    summary: 'Store a file for steps to write to targets',
    description: 'The body is the file itself, at most 1 GiB. It is known by its SHA-256; the same file twice is one.',
    body: { contentType, schema: binary },
    answers: { 201: { description: 'Stored, durable', schema: stored, example } },
    problems: ['unsupported-media-type', 'body-too-large', 'artifact-store-full', 'read-model-unavailable'] as const,
  }
  const config = { permission: 'artifact:write', consumes: contentType, api } as const
  http.post('/v1/artifacts', { config }, async (request, reply) => {
    const upload = { uploadId: ids.next(), owner: `api ${request.principal?.actor.id}` }
    try {
      // The parser for this type hands over the stream itself.
      const whole = await take(store, upload, request.body as AsyncIterable<Buffer>)
      reply.code(201)
      return whole
    } catch (error) {
      await store.abandon(upload).catch(() => undefined)
      // What still comes is not read.
      reply.header('connection', 'close')
      throw error instanceof ArtifactError ? refusal(error) : error
    }
  })
}

async function take(store: ArtifactStore, upload: Upload, body: AsyncIterable<Buffer>) {
  const hash = createHash('sha256')
  let held: Buffer[] = []
  let [heldBytes, bytes, index] = [0, 0, 0]
  const put = async (length: number) => {
    const all = Buffer.concat(held)
    held = [all.subarray(length)]
    heldBytes = all.length - length
    await store.addChunk(upload, index, all.subarray(0, length))
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
  await store.finish(upload, whole)
  return whole
}

function refusal({ code, message }: ArtifactError): ProblemError {
  switch (code) {
    case 'too-large':
      return new ProblemError('body-too-large', message)
    case 'quota':
      return new ProblemError('artifact-store-full')
    case 'mismatch':
    case 'incomplete':
    case 'forbidden':
      return new ProblemError('internal')
  }
}

function registerDownload(http: HttpServer, store: ArtifactStore): void {
  const api = {
    operationId: 'download-artifact',
    tag: 'artifacts',
    summary: 'Download a stored file',
    params,
    answers: { 200: { description: 'The file', contentType, schema: binary } },
    problems: ['artifact-not-found'] as const,
  }
  http.get('/v1/artifacts/:sha256', { config: { permission: 'artifact:read', api } }, async (request, reply) => {
    const wanted = parseInput(params, request.params).sha256
    const bytes = await store.bytesOf(wanted)
    if (bytes === undefined) throw new ProblemError('artifact-not-found')
    reply
      .header('content-type', contentType)
      .header('content-length', bytes)
      .header('content-disposition', `attachment; filename="${wanted}"`)
      .header('x-content-type-options', 'nosniff')
      .header('cache-control', 'private, max-age=31536000, immutable')
      .header('etag', `"${wanted}"`)
    return reply.send(Readable.from(chunksOf(store, wanted, bytes), { objectMode: false }))
  })
}

async function* chunksOf(store: ArtifactStore, wanted: string, bytes: number): AsyncGenerator<Buffer> {
  for (let index = 0; index * ARTIFACT_CHUNK_BYTES < bytes; index += 1) {
    const chunk = await store.chunk(wanted, index)
    // It was removed meanwhile: the answer ends short, which its length tells.
    if (!chunk) throw new ProblemError('artifact-not-found')
    yield chunk.data
  }
}
