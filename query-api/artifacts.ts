import { Readable } from 'node:stream'
import { z } from 'zod'
import type { ArtifactStore } from '../infra/artifacts.ts'
import { type HttpServer, ProblemError, parseInput } from '../infra/http/index.ts'
import { ARTIFACT_CHUNK_BYTES } from '../schemas/bus.ts'
import { sha256 } from '../schemas/kernel.ts'
import { mustSeeArtifact } from './access/artifact.ts'
import type { Reader } from './reader.ts'
import { holderOf } from './route.ts'

const contentType = 'application/octet-stream'
const binary = z.string().meta({ format: 'binary' })
const params = z.strictObject({ sha256 })

/** Files that steps write to targets or have fetched from them. They are outside the log, like output. */
export function registerArtifactDownload(http: HttpServer, reader: Reader, store: ArtifactStore): void {
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
    await mustSeeArtifact(reader, holderOf(request), wanted)
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
