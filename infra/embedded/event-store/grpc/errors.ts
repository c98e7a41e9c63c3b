import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { DamagedStore, DiskFull, StoreClosed } from '../store/errors.ts'
import { MAX_APPEND_SIZE } from '../store/event-store.ts'
import { MalformedMessage } from '../wire/protobuf.ts'

/** An error as the client expects it: the `exception` trailer names it, the others fill it in (Constants.cs of EventStoreDB). */
export function grpcError(code: status, details: string, trailers: Record<string, string> = {}): ServiceError {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, value)
  return Object.assign(new Error(details), { name: 'ServiceError', code, details, metadata })
}

export const streamDeleted = (stream: string) =>
  grpcError(status.FAILED_PRECONDITION, `Event stream '${printable(stream)}' is deleted.`, {
    exception: 'stream-deleted',
    'stream-name': printable(stream),
  })

export const wrongExpectedVersion = (stream: string, expected: number, current: number) =>
  grpcError(status.FAILED_PRECONDITION, 'WrongExpectedVersion', {
    exception: 'wrong-expected-version',
    'stream-name': printable(stream),
    'expected-version': String(expected),
    ...(current >= 0 && { 'actual-version': String(current) }),
  })

export const maximumAppendSizeExceeded = () =>
  grpcError(status.INVALID_ARGUMENT, `Maximum Append Size of ${MAX_APPEND_SIZE} Exceeded.`, {
    exception: 'maximum-append-size-exceeded',
    'maximum-append-size': String(MAX_APPEND_SIZE),
  })

export const invalidArgument = (details: string) => grpcError(status.INVALID_ARGUMENT, details)

export const accessDenied = () => grpcError(status.UNAUTHENTICATED, 'Access Denied', { exception: 'access-denied' })

/** Any error thrown while a call is served, as a status the client can tell apart. */
export function toServiceError(error: unknown): ServiceError {
  if (isServiceError(error)) return error
  if (error instanceof MalformedMessage) return invalidArgument(error.message)
  if (error instanceof DiskFull) return grpcError(status.RESOURCE_EXHAUSTED, error.message)
  if (error instanceof StoreClosed) return grpcError(status.UNAVAILABLE, error.message)
  if (error instanceof DamagedStore) return grpcError(status.DATA_LOSS, `The event store is damaged: ${error.message}.`)
  return grpcError(status.INTERNAL, 'The event store failed to serve the call.')
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'metadata' in error
}

// Header values are ASCII (gRPC over HTTP/2, Custom-Metadata); anything else is shown escaped.
const printable = (text: string) => text.replace(/[^\x20-\x7e]/gu, character => encodeURIComponent(character))
