import path from 'node:path'
import type { Config } from '../../config.ts'
import type { StartRole } from '../../lifecycle.ts'
import { runEventStoreNode } from '../event-store/main.ts'
import { listenAddress } from './endpoint.ts'

/** Role `event-store-node`: the embedded node in `<data>/event-store`. Endpoint: `address`. */
export const start: StartRole<Config> = async (config, log) => {
  if (!config.nodeCredentials) throw new Error('the node needs credentials (OPSCONDUCTOR_NODE_CREDENTIALS)')
  const [username = '', password = ''] = config.nodeCredentials.reveal().split(':')
  const { host, port } = listenAddress(config.nodeEndpoint)
  const node = await runEventStoreNode({
    dataDir: path.join(config.dataDir, 'event-store'),
    host,
    port,
    credentials: { username, password },
    log: line => log.info(line),
  })
  return {
    endpoints: { address: `${host}:${node.port}` },
    ready: () => [{ name: 'store', ok: true }],
    stop: [{ name: 'event store node', deadlineMs: config.stopSeconds * 1000, run: () => node.stop() }],
  }
}
