import type { AllStreamRecordedEvent, RecordedEvent } from '@eventstore/db-client'
import { eventSchemas, type Recorded } from '../../schemas/events.ts'
import type { EventMetadata } from '../../schemas/kernel.ts'
import { upcast } from '../../schemas/upcasters.ts'

/** An event whose type or version this program does not know: never skipped in silence. */
export class UnreadableEvent extends Error {
  override name = 'UnreadableEvent'
}

/**
 * Turns what the client read into our shape, lifted to the newest version of its type. The log is written only by
 * programs that checked the payload, so it is not parsed again here.
 */
export function toRecorded(event: RecordedEvent | AllStreamRecordedEvent): Recorded {
  const metadata = event.metadata as EventMetadata
  if (!Object.hasOwn(eventSchemas, event.type)) {
    throw new UnreadableEvent(`${event.streamId}@${event.revision}: unknown event type ${event.type}`)
  }
  return {
    type: event.type,
    data: upcast(event.type, metadata.schemaVersion, event.data),
    id: event.id,
    stream: event.streamId,
    revision: event.revision,
    position: (event as AllStreamRecordedEvent).position ?? { commit: -1n, prepare: -1n },
    recordedAt: event.created.toISOString(),
    metadata,
  } as Recorded
}
