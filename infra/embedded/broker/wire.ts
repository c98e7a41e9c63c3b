import type { Message } from './router.ts'

export const pong = 'PONG\r\n'
export const ping = 'PING\r\n'
export const ok = '+OK\r\n'

/** What a requester gets when nobody subscribes to its subject: a status header and nothing else. */
export const noRespondersHeader = Buffer.from('NATS/1.0 503\r\n\r\n', 'latin1')

export function errorLine(message: string): string {
  return `-ERR '${message}'\r\n`
}

export function infoLine(info: object): string {
  return `INFO ${JSON.stringify(info)}\r\n`
}

/** `MSG` or, for a client that understands headers, `HMSG`; the payload follows, and its line end is added here. */
export function messageLine(sid: string, message: Message, headers: boolean): { line: string; payload: Buffer } {
  const { subject, headerBytes, payload } = message
  const reply = message.replyTo === '' ? '' : `${message.replyTo} `
  if (headerBytes > 0 && headers) {
    return { line: `HMSG ${subject} ${sid} ${reply}${headerBytes} ${payload.length}\r\n`, payload }
  }
  const body = payload.subarray(headerBytes)
  return { line: `MSG ${subject} ${sid} ${reply}${body.length}\r\n`, payload: body }
}
