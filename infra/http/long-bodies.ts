import type { Socket } from 'node:net'

/** A file that keeps coming may take longer than any other request, but not stand still for so long. */
const STILL_MS = 30_000

const long = new WeakSet<Socket>()

/** From here on only standing still ends the request, however long the whole takes. */
export function mayBeLong(socket: Socket): void {
  long.add(socket)
  socket.setTimeout(STILL_MS)
}

/** Whether the limit on the whole request does not hold on this connection. */
export const isLong = (socket: Socket): boolean => long.has(socket)
