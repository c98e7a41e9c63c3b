import type { NewEvent } from '../../infra/event-store/port.ts'
import { eventId } from '../../infra/ids.ts'

/** A valid command id, the n-th. */
export const sampleCommandId = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`

/** An event of the n-th command, small and valid; it may stand in any stream. */
export function sampleEvent(n: number, reason = `reason ${n}`): NewEvent {
  const commandId = sampleCommandId(n)
  const metadata = {
    ...{ commandId, $correlationId: commandId, $causationId: commandId, at: '2030-01-01T00:00:00.000Z' },
    actor: { kind: 'system' as const, id: 'spec' },
    origin: { channel: 'system' as const },
  }
  return { type: 'JobDisabled', data: { jobId: sampleCommandId(1), reason }, id: eventId(commandId, 0), metadata }
}
