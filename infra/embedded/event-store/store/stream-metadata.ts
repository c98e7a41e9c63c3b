import { readData } from '../wire/recorded-event.ts'

/** Stream metadata as EventStoreDB keeps it in `$$<stream>`; unknown keys are carried along. */
export type StreamMetadata = { $maxCount?: number; $maxAge?: number; $tb?: number } & Record<string, unknown>

/** `$tb` of a soft-deleted stream: the largest signed 64-bit number, which JSON.parse rounds up. */
const DELETED_LITERAL = '9223372036854775807'
const DELETED_FROM = Number.MAX_SAFE_INTEGER

export const isMetastream = (stream: string) => stream.startsWith('$$')
export const metastreamOf = (stream: string) => `$$${stream}`
export const originalOf = (metastream: string) => metastream.slice(2)

/** Parses the last event of a metastream. Metadata that is not a JSON object restricts nothing. */
export function parseMetadata(recorded: Buffer): StreamMetadata {
  try {
    const parsed: unknown = JSON.parse(readData(recorded).toString('utf8'))
    return isRecord(parsed) ? withValidLimits(parsed) : {}
  } catch {
    return {}
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function withValidLimits(parsed: Record<string, unknown>): StreamMetadata {
  const metadata: StreamMetadata = {}
  for (const [key, value] of Object.entries(parsed)) {
    const isLimit = key === '$maxCount' || key === '$maxAge' || key === '$tb'
    if (!isLimit || (typeof value === 'number' && value >= 0)) metadata[key] = value
  }
  return metadata
}

export const isSoftDeleted = (metadata: StreamMetadata) => (metadata.$tb ?? 0) >= DELETED_FROM

/** The metadata with the stream truncated before `revision`, or soft-deleted. */
export function truncatedMetadata(metadata: StreamMetadata, before: number | 'deleted'): Buffer {
  const { $tb: _replaced, ...rest } = metadata
  const fields = Object.entries(rest).map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
  return Buffer.from(`{${[...fields, `"$tb":${before === 'deleted' ? DELETED_LITERAL : before}`].join(',')}}`)
}

/** First revision a reader may see. */
export function firstVisible(metadata: StreamMetadata, last: number): number {
  if (isSoftDeleted(metadata)) return last + 1
  const byCount = metadata.$maxCount ? last - metadata.$maxCount + 1 : 0
  return Math.max(0, metadata.$tb ?? 0, byCount)
}

/** Events created before this tick are too old to be seen. */
export function oldestVisible(metadata: StreamMetadata, nowMs: number): number {
  return metadata.$maxAge ? (nowMs - metadata.$maxAge * 1000) * 10_000 : 0
}
