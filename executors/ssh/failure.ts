import type { FailureClass } from '../../schemas/failure.ts'

/** Why a target could not be reached, logged in to or told to begin: nothing has happened on it. */
export class SshFailure extends Error {
  override name = 'SshFailure'
  readonly class: FailureClass
  /** True when the other end was only busy, and the same again may well succeed. */
  readonly transient: boolean
  constructor(failureClass: FailureClass, detail: string, options: { transient?: boolean } = {}) {
    super(detail.slice(0, 500))
    this.class = failureClass
    this.transient = options.transient ?? false
  }
}

/** The connection went away while a command was being handed over or ran: whether it did anything is unknown. */
export class SshLost extends Error {
  override name = 'SshLost'
}

/** The server opens no further channel on this connection (OpenSSH: MaxSessions). Nothing has happened. */
export class ChannelRefused extends Error {
  override name = 'ChannelRefused'
}

const noName = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NONAME', 'EAI_NODATA'])

/** Classes an error of connecting a socket. */
export function socketFailure(error: NodeJS.ErrnoException, where: string): SshFailure {
  const code = error.code ?? ''
  if (noName.has(code)) return new SshFailure('dns', `${where}: the name does not resolve (${code})`)
  if (code === 'ECONNREFUSED') return new SshFailure('refused', `${where} refused the connection`)
  return new SshFailure('unreachable', `${where} cannot be reached (${code || error.message})`)
}
