import { type MsgHdrs, NatsError, headers as natsHeaders } from 'nats'
import { BusClosed, BusDenied, BusError, type BusHeaders, BusMisuse, BusNoResponders, BusTimeout } from './port.ts'

/** Throws BusMisuse for a name or value that would not arrive as it is. */
export function toNatsHeaders(headers: BusHeaders): MsgHdrs {
  const result = natsHeaders()
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\x21-\x39\x3b-\x7e]+$/.test(name) || /[\r\n]/.test(value)) throw new BusMisuse('Not a header to send')
    result.append(name, value)
  }
  return result
}

export function fromNatsHeaders(headers: MsgHdrs | undefined): BusHeaders {
  return headers ? Object.fromEntries(headers.keys().map(name => [name, headers.get(name)])) : {}
}

const closedCodes = new Set(['CONNECTION_CLOSED', 'CONNECTION_DRAINING', 'CANCELLED'])

/** The bus's own error for one of the client's; anything else is returned as it is. */
export function toBusError(error: unknown, subject: string): unknown {
  if (error instanceof BusError || !(error instanceof NatsError)) return error
  if (error.code === 'TIMEOUT') return new BusTimeout(`No answer on ${subject} in time`)
  if (error.code === '503') return new BusNoResponders(`Nobody answers on ${subject}`)
  if (error.code === 'PERMISSIONS_VIOLATION') return new BusDenied(`Not allowed to publish to ${subject}`)
  if (error.code === 'MAX_PAYLOAD_EXCEEDED') return new BusMisuse(`The message to ${subject} is too large`)
  if (closedCodes.has(error.code)) return new BusClosed('The bus is closed')
  return new BusError(`${error.code} on ${subject}`)
}
