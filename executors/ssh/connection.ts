import type { Socket } from 'node:net'
import ssh2, { type Algorithms, type Client, type ClientChannel, type SFTPWrapper } from 'ssh2'
import type { UsableSecret } from '../../schemas/credential.ts'
import type { Limit } from '../limit.ts'
import { type MaskSet, maskSet } from '../output/masker.ts'
import { secretMasks } from '../output/secret-masks.ts'
import { speakCertificates } from './certificate.ts'
import { ChannelRefused, SshFailure, SshLost } from './failure.ts'
import { describeHostKey, hostKeyAlgorithms } from './host-key.ts'
import { authHandler, loginWith } from './login.ts'
import { openSocket } from './socket.ts'

export type ConnectOptions = {
  address: string
  port: number
  username: string
  /** The key to expect, `<type> <base64>`; only orders what is asked for, `verifyHostKey` decides. */
  knownHostKey: string | undefined
  /** Rejects with SshFailure when the server is not to be talked to. Nothing secret has been asked for by then. */
  verifyHostKey(presented: string): Promise<void>
  /** Called once, after the host key was accepted. Rejects with SshFailure. */
  secret(): Promise<UsableSecret>
  /** How many key exchanges, which cost processor time, may run at once; waiting for the network does not count. */
  handshakes: Limit
  signal: AbortSignal
  timeouts?: Partial<ConnectTimeouts>
}
export type ConnectTimeouts = { connectMs: number; handshakeMs: number; decisionMs: number; authMs: number }

const defaultTimeouts: ConnectTimeouts = { connectMs: 10_000, handshakeMs: 15_000, decisionMs: 30_000, authMs: 20_000 }
const KEEPALIVE_MS = 10_000
const KEEPALIVE_MISSES = 3
const CLOSE_MS = 2_000

export type SshConnection = {
  /** What the server presented. */
  hostKey: string
  masks: MaskSet
  /**
   * Resolves with what `attach` makes of the channel; it is called before anything comes over it. Rejects with
   * ChannelRefused or SshFailure when nothing can have happened, else with SshLost.
   */
  exec<T>(command: string, attach: (channel: ClientChannel) => T): Promise<T>
  /** A channel for file transfer (SFTP). Rejects with ChannelRefused, SshFailure or SshLost. */
  sftp(): Promise<SFTPWrapper>
  /** Resolves when the connection is gone, whoever ended it. */
  closed: Promise<void>
  isOpen(): boolean
  end(): void
}

/** Connects, checks the host key, asks for the secret, logs in. Rejects with SshFailure. */
export async function connectSsh(options: ConnectOptions): Promise<SshConnection> {
  const timeouts = { ...defaultTimeouts, ...options.timeouts }
  const socket = await openSocket(options, timeouts.connectMs, options.signal)
  // Until the login listens, an error would end the process; the login looks at the state.
  socket.on('error', () => undefined)
  return await options.handshakes.run(() => {
    if (socket.readyState === 'open') return new Login(socket, options, timeouts).done
    return Promise.reject(
      new SshFailure('refused', 'the server closed the connection before the login', { transient: true }),
    )
  })
}

type Stage = 'handshake' | 'host-key' | 'secret' | 'auth'

class Login {
  readonly done: Promise<SshConnection>
  readonly #client: Client = new ssh2.Client()
  readonly #socket: Socket
  readonly #options: ConnectOptions
  readonly #timeouts: ConnectTimeouts
  #settle: { resolve(connection: SshConnection): void; reject(failure: SshFailure): void } | undefined
  #stage: Stage = 'handshake'
  #timer: NodeJS.Timeout | undefined
  #hostKey = ''
  #masks: MaskSet = maskSet([])
  #forget: () => void = () => undefined

  constructor(socket: Socket, options: ConnectOptions, timeouts: ConnectTimeouts) {
    this.#socket = socket
    this.#options = options
    this.#timeouts = timeouts
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    options.signal.addEventListener('abort', this.#onAbort, { once: true })
    this.#client.on('error', error => this.#onError(error))
    this.#client.once('close', () => this.#fail(this.#lost('the server closed the connection')))
    this.#client.once('ready', () => this.#ready())
    this.#enter('handshake')
    this.#client.connect({
      sock: socket,
      username: options.username,
      readyTimeout: 0,
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: KEEPALIVE_MISSES,
      algorithms: algorithmsFor(options.knownHostKey),
      hostVerifier: (key: Buffer, verify: (accepted: boolean) => void) => this.#verify(key, verify),
      authHandler: authHandler(
        () => this.#methods(),
        error => this.#fail(asFailure(error)),
      ),
    })
  }

  #verify(key: Buffer, verify: (accepted: boolean) => void): void {
    this.#hostKey = describeHostKey(key)
    this.#enter('host-key')
    this.#options.verifyHostKey(this.#hostKey).then(
      () => {
        this.#enter('handshake')
        verify(true)
      },
      error => {
        // First: what ssh2 makes of the refusal says less than the refusal itself.
        this.#fail(asFailure(error))
        verify(false)
      },
    )
  }

  async #methods() {
    this.#enter('secret')
    const secret = await this.#options.secret()
    // The login may have been given up while the vault was asked: what is taken now, nobody would give back.
    if (!this.#settle) throw new SshFailure('cancelled', 'given up')
    this.#masks = secretMasks(secret)
    this.#enter('auth')
    if (secret.kind === 'ssh-certificate') speakCertificates(this.#client)
    const { methods, release } = loginWith(this.#options.username, secret)
    this.#forget = release
    return methods
  }

  #enter(stage: Stage): void {
    this.#stage = stage
    clearTimeout(this.#timer)
    if (!this.#settle) return
    const { handshakeMs, decisionMs, authMs } = this.#timeouts
    const ms = { handshake: handshakeMs, 'host-key': decisionMs, secret: decisionMs, auth: authMs }[stage]
    this.#timer = setTimeout(() => this.#fail(this.#late(ms)), ms)
  }

  #late(ms: number): SshFailure {
    const after = `within ${ms / 1000} s`
    switch (this.#stage) {
      case 'handshake':
        return new SshFailure('unreachable', `no SSH handshake ${after}`)
      case 'host-key':
        return new SshFailure('host-key-unknown', `nobody recorded the host key ${after}`)
      case 'secret':
        return new SshFailure('credential-unavailable', `no secret was released ${after}`)
      case 'auth':
        return new SshFailure('auth-failed', `no answer to the login ${after}`)
    }
  }

  #lost(why: string): SshFailure {
    if (this.#stage === 'auth') return new SshFailure('auth-failed', `${why} during the login`)
    return new SshFailure('refused', `${why} before the login`, { transient: true })
  }

  #onError(error: Error & { level?: string }): void {
    if (error.level === 'client-authentication') {
      this.#fail(
        new SshFailure('auth-failed', `${this.#options.username} was not let in: the server took no method offered`),
      )
    } else if (error.level === 'handshake') {
      this.#fail(new SshFailure('refused', `no SSH handshake: ${error.message}`))
    } else this.#fail(this.#lost(error.message))
  }

  readonly #onAbort = () => this.#fail(new SshFailure('cancelled', 'given up'))

  #fail(failure: SshFailure): void {
    const settle = this.#release()
    if (!settle) return
    this.#masks.wipe()
    // Not by ssh2: it leaves a socket alone that it has told to end, and a silent server never ends its side.
    this.#socket.destroy()
    settle.reject(failure)
  }

  #ready(): void {
    this.#release()?.resolve(connectionOf(this.#client, this.#socket, this.#hostKey, this.#masks))
  }

  #release() {
    clearTimeout(this.#timer)
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    const settle = this.#settle
    this.#settle = undefined
    this.#forget()
    return settle
  }
}

function connectionOf(client: Client, socket: Socket, hostKey: string, masks: MaskSet): SshConnection {
  let open = true
  const closed = new Promise<void>(resolve => {
    client.once('close', () => {
      open = false
      resolve()
    })
  })
  return {
    hostKey,
    masks,
    closed,
    isOpen: () => open,
    end: () => {
      open = false
      client.end()
      // A peer that went silent never closes its side, and nothing else would ever find out.
      setTimeout(() => socket.destroy(), CLOSE_MS).unref()
    },
    exec: (command, attach) => exec(client, command, attach, () => open),
    sftp: () => sftp(client, () => open),
  }
}

function exec<T>(
  client: Client,
  command: string,
  attach: (channel: ClientChannel) => T,
  isOpen: () => boolean,
): Promise<T> {
  return new Promise((resolve, reject) => {
    try {
      client.exec(command, (error: (Error & { reason?: unknown }) | undefined, channel) => {
        // At once: the whole life of a short command may be in the same packet as this answer.
        if (!error) resolve(attach(channel))
        else if (error.reason !== undefined) reject(new ChannelRefused(error.message))
        // ssh2 says the same when the connection went while the answer was awaited.
        else if (error.message === 'Unable to exec' && isOpen())
          reject(new SshFailure('channel-refused', 'the server runs no commands'))
        else reject(new SshLost(error.message))
      })
    } catch (error) {
      reject(notSent(error))
    }
  })
}

function sftp(client: Client, isOpen: () => boolean): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    try {
      client.sftp((error: (Error & { reason?: unknown }) | undefined, channel) => {
        if (!error) resolve(channel)
        else if (error.reason !== undefined) reject(new ChannelRefused(error.message))
        else if (isOpen()) reject(new SshFailure('file-transfer', 'the server offers no file transfer (SFTP)'))
        else reject(new SshLost(error.message))
      })
    } catch (error) {
      reject(notSent(error))
    }
  })
}

/** ssh2 throws only when the socket was gone before anything was sent. */
const notSent = (error: unknown): SshFailure =>
  new SshFailure('lost-before-start', error instanceof Error ? error.message : 'not connected', { transient: true })

function algorithmsFor(knownHostKey: string | undefined): Algorithms {
  return {
    kex: [
      ...(['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384'] as const),
      ...(['ecdh-sha2-nistp521', 'diffie-hellman-group16-sha512', 'diffie-hellman-group14-sha256'] as const),
    ],
    cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'],
    hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
    serverHostKey: hostKeyAlgorithms(knownHostKey),
    compress: ['none'],
  }
}

const asFailure = (error: unknown): SshFailure =>
  error instanceof SshFailure ? error : new SshFailure('internal', 'the login failed inside the executor')
