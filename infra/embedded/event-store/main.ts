import { ServerCredentials } from '@grpc/grpc-js'
import { buildGuard, type Credentials } from './grpc/access.ts'
import { buildServer, type Log, listen } from './grpc/server.ts'
import { EventStore } from './store/event-store.ts'
import { openStore } from './store/open.ts'
import { nodeIdentity } from './tls/certificate.ts'

export type EventStoreNodeOptions = {
  /** Folder of the store; made when missing, for this user only. */
  dataDir: string
  /** Address to listen on, loopback unless given; any other needs credentials. */
  host?: string
  /** Port to listen on; 0, the default, takes a free one. */
  port?: number
  /** When given, every call on streams must carry them; the node then speaks TLS, because the client sends them only so. */
  credentials?: Credentials
  log?: Log
}

export type EventStoreNode = {
  port: number
  /** For `EventStoreDBClient.connectionString`; holds the credentials when there are any. */
  connectionString: string
  /** Refuses new appends, finishes those under way, ends every call and closes the store. */
  stop(): Promise<void>
}

const LOOPBACK = '127.0.0.1'

/**
 * Starts an event store node that speaks EventStoreDB's gRPC protocol; resolves once it listens. Throws StoreInUse and
 * DamagedStore. An I/O error that is not a full disk ends the process: what was acknowledged is on disk, and nothing
 * else can be trusted.
 */
export async function runEventStoreNode(options: EventStoreNodeOptions): Promise<EventStoreNode> {
  const { dataDir, host = LOOPBACK, credentials, log = () => {} } = options
  if (!credentials && !isLoopback(host)) throw new Error(`credentials are needed to listen on ${host}`)
  const opened = await openStore(dataDir)
  try {
    const store = new EventStore(opened.state, error => {
      log({ level: 'fatal', msg: 'the event store cannot write', error: String(error) })
      process.exit(1)
    })
    let port = 0
    const server = buildServer(store, buildGuard(credentials), () => ({ host, port }), log)
    const tls = credentials && nodeIdentity(dataDir, host)
    port = await listen(server, serverCredentials(tls), host, options.port ?? 0)
    return {
      port,
      connectionString: connectionString(host, port, credentials, tls?.certificateFile),
      async stop() {
        await store.commits.close()
        server.forceShutdown()
        await opened.close()
      },
    }
  } catch (error) {
    await opened.close()
    throw error
  }
}

const isLoopback = (host: string) => host === 'localhost' || /^127(\.\d+){3}$/.test(host)

function serverCredentials(tls: { certificate: Buffer; key: Buffer } | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure()
  return ServerCredentials.createSsl(null, [{ cert_chain: tls.certificate, private_key: tls.key }])
}

function connectionString(host: string, port: number, credentials: Credentials | undefined, caFile = ''): string {
  if (!credentials) return `esdb://${host}:${port}?tls=false`
  const user = `${encodeURIComponent(credentials.username)}:${encodeURIComponent(credentials.password)}`
  return `esdb://${user}@${host}:${port}?tls=true&tlsCAFile=${encodeURIComponent(caFile)}`
}
