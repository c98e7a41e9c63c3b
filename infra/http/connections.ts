import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { addressKey } from '../address-ranges.ts'
import type { Log } from '../log.ts'
import type { EdgeOptions } from './edge-options.ts'
import type { TrustProxy } from './proxies.ts'

const TELL_EVERY_MS = 60_000

/** Keeps connections bounded, and one address from taking all of them. A trusted proxy may have as many as there are. */
export function limitConnections(server: Server, edge: EdgeOptions, trusted: TrustProxy, log: Log): void {
  const open = new Map<string, number>()
  const tell = atMostOnceIn(TELL_EVERY_MS, (fields: object) => log.warn(fields, 'connections were refused'))
  server.maxConnections = edge.maxConnections
  server.on('drop', () => tell({ why: 'too many', limit: edge.maxConnections }))
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress
    if (address === undefined || trusted?.(address, 0)) return
    const who = addressKey(address)
    const count = open.get(who) ?? 0
    if (count >= edge.maxConnectionsPerAddress) {
      socket.destroy()
      return tell({ why: 'too many of one address', ip: address, limit: edge.maxConnectionsPerAddress })
    }
    open.set(who, count + 1)
    socket.once('close', () => {
      const left = (open.get(who) ?? 1) - 1
      if (left === 0) open.delete(who)
      else open.set(who, left)
    })
  })
}

/** Passes on the first call in a while, with how many there were since the last one that was passed on. */
function atMostOnceIn(ms: number, act: (fields: object) => void): (fields: object) => void {
  let until = Number.NEGATIVE_INFINITY
  let count = 0
  return fields => {
    count += 1
    if (performance.now() < until) return
    until = performance.now() + ms
    act({ ...fields, count })
    count = 0
  }
}
