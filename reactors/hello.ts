import { type Bus, publishJson } from '../infra/bus.ts'
import { type Control, subjects } from '../schemas/bus.ts'

/**
 * Whoever asked or told what nobody answers learns of it now, and not when patience ends. Those that are known are not
 * kept waiting for the look at who was heard of lately. What gets lost is made up for by the next heartbeat.
 */
export async function sayHello(bus: Bus, known: Iterable<string>, recent: () => Promise<string[]>): Promise<void> {
  const greeted = new Set(known)
  for (const executorId of greeted) greet(bus, executorId)
  for (const executorId of await recent().catch(() => [])) if (!greeted.has(executorId)) greet(bus, executorId)
}

function greet(bus: Bus, executorId: string): void {
  const hello: Control = { kind: 'hello' }
  try {
    publishJson(bus, subjects.control(executorId), hello)
  } catch {}
}
