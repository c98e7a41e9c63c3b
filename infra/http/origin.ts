import type { FastifyRequest } from 'fastify'
import type { Origin } from '../../schemas/kernel.ts'
import { clientAddress } from './proxies.ts'

/** Where a request comes from, as events tell it. */
export function originOf(request: FastifyRequest): Origin {
  const userAgent = request.headers['user-agent']?.replace(/[^\x20-\x7e]/g, '?').slice(0, 300)
  const channel = userAgent?.startsWith('opsconductor-cli') ? 'cli' : 'api'
  return { channel, ip: clientAddress(request), ...(userAgent === undefined ? {} : { userAgent }) }
}
