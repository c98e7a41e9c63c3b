import { type Bus, BusError, requestJson } from '../infra/bus.ts'
import type { Clock } from '../infra/clock.ts'
import { type HeartbeatReply, heartbeatReply, subjects } from '../schemas/bus.ts'
import type { Lease } from './lease.ts'
import type { Held } from './spool/report-spool.ts'
import { pause } from './wait.ts'

export type HeartbeatOptions = {
  bus: Bus
  executorId: string
  instanceId: string
  lease: Lease
  clock: Clock
  active(): Held[]
  capacity: number
  onReply(reply: HeartbeatReply): void
}

const MOST_ACTIVE = 2_048

/** Says what this executor works on, several times in a lease, until the signal is given. */
export async function beat(options: HeartbeatOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await once(options)
    await pause(options.lease.heartbeatMs, signal)
  }
}

async function once(options: HeartbeatOptions): Promise<void> {
  const { bus, executorId, instanceId, lease, clock, active, capacity, onReply } = options
  const sentAt = clock.monotonic()
  const body = { executorId, instanceId, active: active().slice(0, MOST_ACTIVE), capacity }
  try {
    const timeoutMs = Math.max(500, lease.heartbeatMs)
    onReply(await requestJson(bus, subjects.heartbeat(executorId), heartbeatReply, body, { timeoutMs }))
    lease.heard(sentAt)
  } catch (error) {
    // Silence is what a lease is for; the bus itself logs when it loses the broker.
    if (!(error instanceof BusError)) throw error
  }
}
