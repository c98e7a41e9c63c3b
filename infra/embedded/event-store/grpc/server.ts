import { createServer } from 'node:net'
import { Server, type ServerCredentials } from '@grpc/grpc-js'
import { DamagedStore } from '../store/errors.ts'
import type { EventStore } from '../store/event-store.ts'
import { Reader } from '../store/reader.ts'
import type { Guard } from './access.ts'
import { serveAppend } from './append.ts'
import { BatchAppendSession } from './batch-append.ts'
import { serveDelete, serveTombstone } from './delete.ts'
import { toServiceError } from './errors.ts'
import { Outbox } from './outbox.ts'
import { serveRead } from './read.ts'
import { readPlan } from './read-plan.ts'
import {
  type AppendCall,
  type BatchAppendCall,
  type DeleteCall,
  GossipService,
  getSupportedMethods,
  gossipOf,
  type ReadCall,
  type Reply,
  ServerFeaturesService,
  streamsDefinition,
  type TombstoneCall,
} from './services.ts'
import { serveSubscription } from './subscription.ts'

export type Log = (line: object) => void

const OPTIONS = {
  'grpc.max_receive_message_length': 17 * 2 ** 20,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_permit_without_calls': 1,
}

/**
 * The gRPC face of a store: Streams behind the guard, and ServerFeatures and Gossip, which the client asks without
 * credentials. `address` is where gossip says the node is.
 */
export function buildServer(store: EventStore, guard: Guard, address: () => { host: string; port: number }, log: Log) {
  const server = new Server(OPTIONS)
  const reader = new Reader(store.state.tables, () => store.state.durableEnd)
  server.addService(streamsDefinition, {
    read: (call: ReadCall) => {
      streaming(call, guard, () => void serveReading(call, store, reader, log))
    },
    batchAppend: (call: BatchAppendCall) => {
      streaming(call, guard, () => void new BatchAppendSession(call, store))
    },
    append: (call: AppendCall, reply: Reply) => {
      answering(call, guard, reply, () => serveAppend(call, store))
    },
    delete: (call: DeleteCall, reply: Reply) => {
      answering(call, guard, reply, () => serveDelete(call.request, store))
    },
    tombstone: (call: TombstoneCall, reply: Reply) => {
      answering(call, guard, reply, () => serveTombstone(call.request, store))
    },
  })
  server.addService(ServerFeaturesService, { getSupportedMethods })
  server.addService(GossipService, { read: gossipOf(address) })
  return server
}

type Guarded = Parameters<Guard>[0]

function streaming(
  call: Guarded & { emit(event: 'error', error: Error): unknown },
  guard: Guard,
  serve: () => void,
): void {
  try {
    guard(call)
    serve()
  } catch (error) {
    call.emit('error', toServiceError(error))
  }
}

async function answering(call: Guarded, guard: Guard, reply: Reply, serve: () => Promise<unknown>): Promise<void> {
  try {
    guard(call)
    reply(null, await serve())
  } catch (error) {
    reply(toServiceError(error))
  }
}

async function serveReading(call: ReadCall, store: EventStore, reader: Reader, log: Log): Promise<void> {
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

/** Listens and answers the port. Throws an error that says which address cannot be had and why. */
export function listen(server: Server, credentials: ServerCredentials, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentials, (error, bound) => {
      if (error) void whyNot(host, port).then(why => reject(new Error(`cannot listen on ${host}:${port}: ${why}`)))
      else resolve(bound)
    })
  })
}

// grpc-js does not pass on why an address could not be bound, so it is tried once more.
function whyNot(host: string, port: number): Promise<string> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', error => resolve('code' in error ? String(error.code) : error.message))
    probe.listen({ host, port }, () => probe.close(() => resolve('it was in use a moment ago')))
  })
}
