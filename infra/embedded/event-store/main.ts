import { mkdirSync } from 'node:fs'
import { buildServer, type Log, listen } from './grpc/server.ts'
import { EventStore } from './store/event-store.ts'
import { openTables } from './store/tables.ts'

export type EventStoreNodeOptions = {
  dataDir: string
  host?: string
  port?: number
  credentials?: { username: string; password: string }
  log?: Log
}

export type EventStoreNode = { port: number; connectionString: string; stop(): Promise<void> }

const LOOPBACK = '127.0.0.1'

/**
 * Starts an event store node that speaks EventStoreDB's gRPC protocol. Port 0 (the default) takes a free one. Resolves
 * once it listens. An I/O error that is not a full disk ends the process: what was acknowledged is on disk, and nothing
 * else can be trusted.
 */
export async function runEventStoreNode(options: EventStoreNodeOptions): Promise<EventStoreNode> {
  const host = options.host ?? LOOPBACK
  const log = options.log ?? (() => {})
  mkdirSync(options.dataDir, { recursive: true })
  const tables = openTables(options.dataDir, { readOnly: false })
  const store = new EventStore(tables, error => {
    log({ level: 'fatal', msg: 'the event store cannot write', error: String(error) })
    process.exit(1)
  })
  let port = 0
  const server = buildServer(store, () => ({ host, port }), log)
  port = await listen(server, host, options.port ?? 0)
  return {
    port,
    connectionString: `esdb://${host}:${port}?tls=false`,
    async stop() {
      await store.commits.close()
      server.forceShutdown()
      await tables.env.close()
    },
  }
}
