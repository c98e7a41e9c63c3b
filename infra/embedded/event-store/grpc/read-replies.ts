import { randomUUID } from 'node:crypto'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import type { Reader, StoredEvent } from '../store/reader.ts'
import { encodeReadEvent } from '../wire/messages.ts'
import { readData } from '../wire/recorded-event.ts'
import { streamIdentifier } from './batch-replies.ts'

const encoded = (reply: streams.ReadResp) => Buffer.from(reply.serializeBinary())

const CAUGHT_UP = encoded(new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp()))
const FELL_BEHIND = encoded(new streams.ReadResp().setFellBehind(new streams.ReadResp.FellBehind()))
const LINK_TYPE = '$>'

/** Messages of a read besides its events. */
export const replies = {
  caughtUp: CAUGHT_UP,
  fellBehind: FELL_BEHIND,
  confirmation(): Buffer {
    const confirmation = new streams.ReadResp.SubscriptionConfirmation().setSubscriptionId(randomUUID())
    return encoded(new streams.ReadResp().setConfirmation(confirmation))
  },
  checkpoint(position: number): Buffer {
    const checkpoint = new streams.ReadResp.Checkpoint()
    checkpoint.setCommitPosition(String(position)).setPreparePosition(String(position))
    return encoded(new streams.ReadResp().setCheckpoint(checkpoint))
  },
  streamNotFound(stream: string): Buffer {
    const notFound = new streams.ReadResp.StreamNotFound().setStreamIdentifier(streamIdentifier(stream))
    return encoded(new streams.ReadResp().setStreamNotFound(notFound))
  },
}

/** One event as a reader gets it: itself, or with links resolved the event it points to and the link beside it. */
export function eventReply(event: StoredEvent, resolveLinks: boolean, reader: Reader): Buffer {
  if (!resolveLinks || event.header.type !== LINK_TYPE) return encodeReadEvent(event.wire, undefined, event.position)
  const target = readData(event.wire).toString('utf8')
  const at = target.indexOf('@')
  const revision = Number(target.slice(0, at))
  const linked = at > 0 && Number.isSafeInteger(revision) ? reader.linked(target.slice(at + 1), revision) : undefined
  return encodeReadEvent(linked, event.wire, event.position)
}
