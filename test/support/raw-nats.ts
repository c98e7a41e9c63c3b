import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** A client that speaks the NATS protocol by hand, for what a well-behaved client would never send. */
export type RawNats = {
  socket: Socket
  send(text: string | Uint8Array): void
  /** Everything received and not yet taken, up to and including the first match; fails after 5 s. */
  until(pattern: RegExp): Promise<string>
  /** Resolves with what was left to read when the broker hung up; fails after 5 s. */
  closed(): Promise<string>
  close(): void
}

const limitMs = 5_000

/** Opens a connection and, unless told otherwise, reads INFO and sends CONNECT with these fields. */
export async function rawNats(port: number, fields: object | 'no CONNECT' = {}): Promise<RawNats> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  let ended = false
  const changed = () => socket.emit('received')
  socket.on('data', chunk => {
    received += chunk.toString('latin1')
    changed()
  })
  socket.on('error', changed)
  socket.on('close', () => {
    ended = true
    changed()
  })
  await once(socket, 'connect')

  const waitFor = async (what: string, done: () => boolean) => {
    const late = new AbortController()
    const limit = delay(limitMs, undefined, { signal: late.signal }).catch(() => undefined)
    const deadline = Date.now() + limitMs
    while (!done()) {
      if (Date.now() >= deadline) throw new Error(`No ${what}; received ${JSON.stringify(received.slice(-300))}`)
      await Promise.race([once(socket, 'received'), limit])
    }
    late.abort()
  }

  const raw: RawNats = {
    socket,
    send: text => void socket.write(text),
    async until(pattern) {
      await waitFor(String(pattern), () => pattern.test(received) || ended)
      const match = pattern.exec(received)
      if (!match) throw new Error(`Hung up before ${pattern}; received ${JSON.stringify(received.slice(-300))}`)
      const end = match.index + match[0].length
      const taken = received.slice(0, end)
      received = received.slice(end)
      return taken
    },
    async closed() {
      await waitFor('end of the connection', () => ended)
      return received
    },
    close: () => socket.destroy(),
  }
  await raw.until(/INFO .*\r\n/)
  if (fields !== 'no CONNECT') raw.send(`CONNECT ${JSON.stringify({ verbose: false, ...fields })}\r\n`)
  return raw
}
