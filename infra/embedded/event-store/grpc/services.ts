import { randomUUID } from 'node:crypto'
import { GossipService } from '@eventstore/db-client/generated/gossip_grpc_pb.js'
import gossip from '@eventstore/db-client/generated/gossip_pb.js'
import { ServerFeaturesService } from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import features from '@eventstore/db-client/generated/serverfeatures_pb.js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import { StreamsService } from '@eventstore/db-client/generated/streams_grpc_pb.js'
import type streams from '@eventstore/db-client/generated/streams_pb.js'
import type {
  MethodDefinition,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from '@grpc/grpc-js'
import { type AppendPart, type BatchPart, readAppendPart, readBatchPart } from '../wire/messages.ts'

/** Version of EventStoreDB whose behaviour the node follows. */
const SERVER_VERSION = '23.10.0'

const identity = (bytes: Buffer) => bytes
const read: MethodDefinition<streams.ReadReq, Buffer> = {
  ...StreamsService.read,
  responseSerialize: identity,
  responseDeserialize: identity,
}
const append: MethodDefinition<AppendPart, streams.AppendResp> = {
  ...StreamsService.append,
  requestSerialize: refuseToSerialize,
  requestDeserialize: readAppendPart,
}
const batchAppend: MethodDefinition<BatchPart, Buffer> = {
  ...StreamsService.batchAppend,
  requestSerialize: refuseToSerialize,
  requestDeserialize: readBatchPart,
  responseSerialize: identity,
  responseDeserialize: identity,
}

/** The Streams service with hand-written codecs on its hot paths; only what is listed here is served and advertised. */
export const streamsDefinition = {
  read,
  append,
  batchAppend,
  delete: StreamsService.delete,
  tombstone: StreamsService.tombstone,
}

export type ReadCall = ServerWritableStream<streams.ReadReq, Buffer>
export type BatchAppendCall = ServerDuplexStream<BatchPart, Buffer>
export type AppendCall = ServerReadableStream<AppendPart, streams.AppendResp>
export type DeleteCall = ServerUnaryCall<streams.DeleteReq, streams.DeleteResp>
export type TombstoneCall = ServerUnaryCall<streams.TombstoneReq, streams.TombstoneResp>
export type Reply = sendUnaryData<unknown>
type Unary<Response> = (call: ServerUnaryCall<unknown, Response>, reply: sendUnaryData<Response>) => void

// A server never serialises requests, but the method definition asks for a function.
function refuseToSerialize(): Buffer {
  throw new Error('requests are only read here')
}

/** Answers ServerFeatures with exactly the methods served. */
export const getSupportedMethods: Unary<features.SupportedMethods> = (_call, reply) => {
  const supported = new features.SupportedMethods()
  supported.setEventStoreServerVersion(SERVER_VERSION)
  const served = [...Object.values(streamsDefinition), GossipService.read, ServerFeaturesService.getSupportedMethods]
  for (const { path } of served) {
    const [, service = '', name = ''] = path.toLowerCase().split('/')
    const method = new features.SupportedMethod()
    method.setServiceName(service).setMethodName(name)
    if (path === StreamsService.read.path) method.setFeaturesList(['position', 'events'])
    supported.addMethods(method)
  }
  reply(null, supported)
}

/** Answers Gossip with this node as the only member and its leader, reachable where `address` says. */
export function gossipOf(address: () => { host: string; port: number }): Unary<gossip.ClusterInfo> {
  const instance = randomUUID()
  return (_call, reply) => {
    const { host, port } = address()
    const endPoint = new gossip.EndPoint().setAddress(host).setPort(port)
    const member = new gossip.MemberInfo()
    member.setInstanceId(new shared.UUID().setString(instance))
    member.setTimeStamp(`${Date.now()}0000`)
    member.setState(gossip.MemberInfo.VNodeState.LEADER)
    member.setIsAlive(true)
    member.setHttpEndPoint(endPoint)
    reply(null, new gossip.ClusterInfo().setMembersList([member]))
  }
}

export { GossipService, ServerFeaturesService }
