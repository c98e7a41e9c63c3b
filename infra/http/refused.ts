import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Actor, Origin } from '../../schemas/kernel.ts'
import type { Problem } from '../../schemas/problems.ts'
import { plainAddress } from '../address-ranges.ts'
import type { Ids } from '../ids.ts'
import { originOf } from './origin.ts'

/** A request that was turned away. `actor` is whose key was valid. */
export type RefusedRequest = {
  correlationId: string
  method: string
  /** The pattern of the route, never what stood in the URL. */
  route: string
  status: number
  code: string
  actor?: Actor | undefined
  origin: Origin
}
export type OnRefused = (refused: RefusedRequest) => void

/** Denied, malformed, too large, too slow or too many. What is not there, or cannot be at the moment, is no refusal. */
const tellable = new Set([400, 401, 403, 408, 413, 415, 429, 431])
const NO_ROUTE = '-'

const told = new WeakSet<Error>()
/** Says that this refusal is in the log already, told better by who knows what was asked for. */
export const markTold = (error: Error): void => void told.add(error)

const kept = new WeakMap<FastifyRequest, Refusal>()
/** Keeps what a request is answered with until the answer is on its way: by then it is known who has told of it. */
export const keepRefusal = (request: FastifyRequest, problem: Problem, error: unknown): void => {
  if (tellable.has(problem.status)) kept.set(request, { problem, error })
}

const listening = new WeakMap<FastifyInstance, OnRefused>()

export function tellRefusals(app: FastifyInstance, tell: OnRefused): void {
  listening.set(app, tell)
  app.addHook('onResponse', (request, _reply, done) => {
    done()
    tellRefusal(request, tell)
  })
}

/** Tells of one that was kept, unless somebody has told of it already. */
export function tellRefusal(request: FastifyRequest, tell: OnRefused): void {
  const refusal = kept.get(request)
  if (refusal) tellOf(request, refusal, tell)
}

/** Tells of one part of a request that was refused while the request as a whole was not. */
export function tellPart(request: FastifyRequest, problem: Problem, error: unknown): void {
  const tell = listening.get(request.server)
  if (tell && tellable.has(problem.status)) tellOf(request, { problem, error }, tell)
}

type Refusal = { problem: Problem; error: unknown }

function tellOf(request: FastifyRequest, { problem, error }: Refusal, tell: OnRefused): void {
  if (error instanceof Error && told.has(error)) return
  tell({
    ...{ correlationId: request.id, method: request.method.slice(0, 20), origin: originOf(request) },
    ...{ route: request.routeOptions.url?.slice(0, 200) ?? NO_ROUTE, actor: request.principal?.actor },
    ...codeOf(problem),
  })
}

/** The same for what never became a request: bad HTTP, headers too large or too slow. */
export function tellBadRequest(tell: OnRefused, ids: Ids): (problem: Problem, socket: Socket) => void {
  return (problem, socket) => {
    const ip = plainAddress(socket.remoteAddress ?? '')
    const origin: Origin = { channel: 'api', ...(ip !== '' && { ip }) }
    tell({ correlationId: ids.next(), method: NO_ROUTE, route: NO_ROUTE, origin, ...codeOf(problem) })
  }
}

const prefix = 'urn:opsconductor:problem:'
const codeOf = ({ type, status }: Problem) => ({ status, code: type.slice(prefix.length) })
