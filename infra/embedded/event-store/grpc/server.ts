import { promisify } from 'node:util'
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

// Two processes can be given the same free port and only one of them can then listen on it.
const TRIES_FOR_A_FREE_PORT = 5

/** Listens and answers the port; port 0 takes a free one. Throws an error that says which address cannot be had and why. */
export async function listen(
  server: Server,
  credentials: ServerCredentials,
  host: string,
  port: number,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    try {
      return await promisify(server.bindAsync.bind(server))(`${host}:${port}`, credentials)
    } catch (error) {
      if (port === 0 && tries < TRIES_FOR_A_FREE_PORT) continue
      throw new Error(`cannot listen on ${host}:${port}: ${whyNot(error)}`)
    }
  }
}

// "No address added out of total 1 resolved errors: [listen EADDRINUSE: address already in use 127.0.0.1:2113]"
const whyNot = (error: unknown): string => /errors: \[(.+)\]$/.exec(String(error))?.[1] ?? String(error)
