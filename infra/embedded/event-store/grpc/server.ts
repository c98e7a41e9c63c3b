import { Server, ServerCredentials } from '@grpc/grpc-js'
import { DamagedStore } from '../store/errors.ts'
import type { EventStore } from '../store/event-store.ts'
import { Reader } from '../store/reader.ts'
import { serveAppend } from './append.ts'
import { BatchAppendSession } from './batch-append.ts'
import { serveDelete, serveTombstone } from './delete.ts'
import { toServiceError } from './errors.ts'
import { Outbox } from './outbox.ts'
import { serveRead } from './read.ts'
import { readPlan } from './read-plan.ts'
import {
  GossipService,
  getSupportedMethods,
  gossipOf,
  type ReadCall,
  ServerFeaturesService,
  streamsDefinition,
} from './services.ts'
import { serveSubscription } from './subscription.ts'

export type Log = (line: object) => void

const OPTIONS = {
  'grpc.max_receive_message_length': 17 * 2 ** 20,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_permit_without_calls': 1,
}

/** The gRPC face of a store: Streams, ServerFeatures and Gossip. */
export function buildServer(store: EventStore, address: () => { host: string; port: number }, log: Log): Server {
  const server = new Server(OPTIONS)
  const reader = new Reader(store.state.tables, () => store.state.durableEnd)
  server.addService(streamsDefinition, {
    read: (call: ReadCall) => void read(call, store, reader, log),
    append: (call: Parameters<typeof serveAppend>[0], reply: Parameters<typeof serveAppend>[1]) =>
      serveAppend(call, reply, store),
    batchAppend: (call: ConstructorParameters<typeof BatchAppendSession>[0]) =>
      void new BatchAppendSession(call, store),
    delete: (call: { request: Parameters<typeof serveDelete>[0] }, reply: Parameters<typeof serveDelete>[1]) =>
      serveDelete(call.request, reply, store),
    tombstone: (call: { request: Parameters<typeof serveTombstone>[0] }, reply: Parameters<typeof serveTombstone>[1]) =>
      serveTombstone(call.request, reply, store),
  })
  server.addService(ServerFeaturesService, { getSupportedMethods })
  server.addService(GossipService, { read: gossipOf(address) })
  return server
}

async function read(call: ReadCall, store: EventStore, reader: Reader, log: Log): Promise<void> {
  const outbox = new Outbox(call)
  try {
    const plan = readPlan(call.request)
    if (plan.subscribe) await serveSubscription(plan, reader, store.commits, () => store.state.durableEnd, outbox)
    else await serveRead(plan, reader, outbox)
  } catch (error) {
    if (error instanceof DamagedStore) log({ level: 'error', msg: 'a read met damage', error: error.message })
    if (!outbox.closed) call.emit('error', toServiceError(error))
  }
}

/** Listens and answers the port. */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error)
      else resolve(bound)
    })
  })
}
