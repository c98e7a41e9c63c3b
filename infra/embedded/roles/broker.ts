import { z } from 'zod'
import type { Config } from '../../config.ts'
import type { StartRole } from '../../lifecycle.ts'
import { runBroker } from '../broker/index.ts'
import { listenAddress } from './endpoint.ts'

const rule = z.strictObject({ allow: z.array(z.string()) })

/** The setting OPSCONDUCTOR_BROKER_USERS, as the supervisor writes it. */
export const brokerUsers = z.array(
  z.strictObject({
    user: z.string(),
    password: z.string().min(16),
    permissions: z.strictObject({ publish: rule, subscribe: rule }),
  }),
)
export type BrokerUsers = z.output<typeof brokerUsers>

/** Role `broker`: the embedded broker for the users it is given. Endpoint: `address`. */
export const start: StartRole<Config> = async (config, log) => {
  if (!config.brokerUsers) throw new Error('the broker needs its users (OPSCONDUCTOR_BROKER_USERS)')
  const users = brokerUsers.parse(JSON.parse(config.brokerUsers.reveal()))
  const { host, port } = listenAddress(config.nodeEndpoint)
  const broker = await runBroker({ host, port, users, log })
  return {
    endpoints: { address: `${host}:${broker.port}` },
    ready: () => [{ name: 'broker', ok: true, detail: `${broker.stats().connections} connections` }],
    stop: [{ name: 'broker', deadlineMs: 5_000, run: () => broker.stop() }],
  }
}
