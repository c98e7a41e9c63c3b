import type { Expected } from '../store/decide.ts'
import { invalidArgument } from './errors.ts'

const MAX_STREAM_NAME_BYTES = 1024

/** Stream name of a request. Throws INVALID_ARGUMENT when it is missing or too long to be a key. */
export function streamName(identifier: { getStreamName_asU8(): Uint8Array } | undefined): string {
  const bytes = identifier ? Buffer.from(identifier.getStreamName_asU8()) : Buffer.alloc(0)
  if (bytes.length === 0 || bytes.length > MAX_STREAM_NAME_BYTES || bytes.includes(0)) {
    throw invalidArgument(`A stream name has between 1 and ${MAX_STREAM_NAME_BYTES} bytes and no zero byte.`)
  }
  return bytes.toString('utf8')
}

/** A 64-bit number of a request; what a JavaScript number cannot hold is beyond anything stored. */
export function boundedNumber(text: string): number {
  const value = BigInt(text === '' ? 0 : text)
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value)
}

type Expectation = { hasAny(): boolean; hasNoStream(): boolean; hasStreamExists(): boolean }

/** Expected revision out of the `expected_stream_revision` choice; `revision` is read only when none of the words is set. */
export function expectedRevision(options: Expectation, revision: () => string): Expected {
  if (options.hasAny()) return 'any'
  if (options.hasNoStream()) return 'no_stream'
  if (options.hasStreamExists()) return 'stream_exists'
  return boundedNumber(revision())
}

/** The number EventStoreDB shows for an expected revision in error trailers. */
export function expectedNumber(expected: Expected): number {
  if (expected === 'any') return -2
  if (expected === 'no_stream') return -1
  if (expected === 'stream_exists') return -4
  return expected
}
