import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { type AddressRanges, addressRanges, plainAddress } from '../address-ranges.ts'

/** Whom to believe about where a request comes from; undefined believes nobody. */
export type TrustProxy = ((address: string, hop: number) => boolean) | undefined

export function trustedProxies(ranges: readonly string[]): TrustProxy {
  if (ranges.length === 0) return undefined
  const trusted: AddressRanges = addressRanges(ranges)
  return address => trusted.holds(address)
}

/**
 * The address a request comes from: the last one in X-Forwarded-For that is no trusted proxy, when a trusted proxy
 * hands it over, else that of the connection. What is no address is never passed on as one.
 */
export function clientAddress(request: FastifyRequest): string {
  const told = request.ip
  return plainAddress(isIP(told) === 0 ? (request.socket.remoteAddress ?? '') : told)
}
