import { type LookupOptions, lookup } from 'node:dns'
import { connect, isIP, type LookupFunction, type Socket } from 'node:net'
import { Limit } from '../limit.ts'
import { SshFailure, socketFailure } from './failure.ts'
import { gatherWrites } from './gather-writes.ts'

// Name look-ups share four threads with every file operation, so a dead name server must not take them all.
const lookups = new Limit(2)

const limitedLookup: LookupFunction = (hostname, options: LookupOptions, callback) => {
  void lookups.run(
    () =>
      new Promise<void>(resolve => {
        lookup(hostname, options, (error, address, family) => {
          resolve()
          callback(error, address, family)
        })
      }),
  )
}

/** Connects without Nagle's delay: it costs a factor of twenty on small commands. Rejects with SshFailure. */
export function openSocket(
  to: { address: string; port: number },
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const where = `${to.address} port ${to.port}`
  return new Promise((resolve, reject) => {
    const literal = isIP(to.address) !== 0
    const socket = connect({
      ...{ host: to.address, port: to.port, noDelay: true, autoSelectFamilyAttemptTimeout: 2_000 },
      ...(literal ? {} : { lookup: limitedLookup }),
    })
    let resolved = literal
    const fail = (failure: SshFailure) => {
      finish()
      socket.on('error', () => undefined).destroy()
      reject(failure)
    }
    const onTimeout = () => {
      const why = resolved ? 'no answer' : 'the name did not resolve'
      fail(new SshFailure(resolved ? 'unreachable' : 'dns', `${where}: ${why} within ${timeoutMs / 1000} s`))
    }
    const onAbort = () => fail(new SshFailure('cancelled', `${where}: given up`))
    const onError = (error: Error) => fail(socketFailure(error, where))
    const timer = setTimeout(onTimeout, timeoutMs)
    const finish = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.removeListener('error', onError)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', onError)
    socket.once('lookup', error => {
      resolved = error === null || error === undefined
    })
    socket.once('connect', () => {
      finish()
      resolve(gatherWrites(socket))
    })
    if (signal.aborted) onAbort()
  })
}
