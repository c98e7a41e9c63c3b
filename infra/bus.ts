import { type ConnectBusOptions, firstConnection } from './bus/first-connection.ts'
import { NatsBus } from './bus/nats-bus.ts'
import type { Bus } from './bus/port.ts'
import { parseBrokerUrl } from './bus/url.ts'

export type { BusLog, ConnectBusOptions } from './bus/first-connection.ts'
export { inboxPrefix } from './bus/first-connection.ts'
export * from './bus/json.ts'
export * from './bus/port.ts'

/**
 * Connects to a NATS broker (embedded or nats-server). Waits for it at start-up, reconnects for ever afterwards.
 * Replies come to `_INBOX.<user>.…` so that permissions can keep users out of each other's answers.
 * Throws BusMisuse for a bad URL, BusUnavailable when the broker does not answer in time or refuses the credentials.
 */
export async function connectBus(options: ConnectBusOptions): Promise<Bus> {
  const address = parseBrokerUrl(options.url)
  const connection = await firstConnection(address, options)
  options.log.info({ broker: address.servers }, 'connected to the broker')
  return new NatsBus(connection, options.log)
}
