import type { Socket } from 'node:net'

/**
 * Lets what is written in one turn leave at once. The SSH library writes a packet in three pieces; without Nagle's delay
 * each would be a system call and a segment of its own, and would wake the server. For a socket on which `connect` was
 * called already: that undoes it.
 */
export function gatherWrites<S extends Socket>(socket: S): S {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  let gathering = false
  socket.write = (...args: unknown[]) => {
    if (!gathering) {
      gathering = true
      socket.cork()
      process.nextTick(() => {
        gathering = false
        socket.uncork()
      })
    }
    return write(...args)
  }
  return socket
}
