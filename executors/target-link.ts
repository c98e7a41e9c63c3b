import { createHash } from 'node:crypto'
import type { Assignment } from '../schemas/bus.ts'
import type { UsableSecret } from '../schemas/credential.ts'
import type { ExecutorContext } from './context.ts'
import type { MaskSet } from './output/masker.ts'
import type { Sudo } from './remote/sudo.ts'
import type { SshConnection } from './ssh/connection.ts'
import { SshFailure } from './ssh/failure.ts'
import { type AcquireOptions, connectAside, type Lease } from './ssh/pool.ts'

const OBSERVED_MS = 15_000
const ASIDE_MS = 30_000

/** The way to one target for one target run: checks the host key, asks for the secret only when it must log in. */
export class TargetLink {
  readonly #context: ExecutorContext
  readonly #assignment: Assignment
  readonly #signal: AbortSignal
  #knownKey: string | undefined
  #lease: Lease | undefined
  #password: Promise<string> | undefined

  constructor(context: ExecutorContext, assignment: Assignment, signal: AbortSignal) {
    this.#context = context
    this.#assignment = assignment
    this.#signal = signal
    this.#knownKey = assignment.target.hostKey.key
  }

  /** A channel on an open connection; the one from before while it is good. Rejects with SshFailure. */
  async ready(signal = this.#signal): Promise<Lease> {
    if (this.#lease?.connection.isOpen()) return this.#lease
    this.release()
    const { policy } = this.#assignment.target.hostKey
    if (policy === 'pinned' && this.#knownKey === undefined) {
      throw new SshFailure('host-key-unknown', 'the target takes only a pinned host key, and none is pinned')
    }
    this.#lease = await this.#context.pool.acquire(this.#options(signal))
    return this.#lease
  }

  /** A connection of its own, to stop what runs on the other; the caller ends it. Rejects with SshFailure. */
  aside(): Promise<SshConnection> {
    return connectAside(this.#options(AbortSignal.timeout(ASIDE_MS)))
  }

  /** Secrets that what comes from the target may hold: those of the login, where there was one. */
  get masks(): MaskSet | undefined {
    return this.#lease?.connection.masks
  }

  /** How to become another user there. The password is the login's, asked for when sudo wants it. */
  sudo(become: { user: string } | undefined): Sudo | undefined {
    if (!become) return undefined
    if (this.#assignment.credential?.kind !== 'password') return { user: become.user }
    return { user: become.user, password: () => this.#askPassword() }
  }

  release(): void {
    this.#lease?.release()
    this.#lease = undefined
  }

  /** Once, also for stopping what runs by it: by then nobody may give it to us any more. */
  #askPassword(): Promise<string> {
    this.#password ??= this.#release(AbortSignal.timeout(ASIDE_MS)).then(secret => {
      if (secret.kind === 'password') return secret.password
      throw new SshFailure('credential-unavailable', 'the credential holds no password')
    })
    return this.#password
  }

  #credential(): NonNullable<Assignment['credential']> {
    const { credential } = this.#assignment
    if (credential) return credential
    throw new SshFailure('credential-unavailable', 'the target run has no credential to log in with')
  }

  #release(signal: AbortSignal): Promise<UsableSecret> {
    const { runId, n, epoch } = this.#assignment
    const { credentialId, version } = this.#credential()
    return this.#context.secrets.release({ runId, n, epoch, credentialId, version }, signal)
  }

  #options(signal: AbortSignal): AcquireOptions {
    const { runId, target, connectSeconds } = this.#assignment
    const { credentialId, version, username, kind } = this.#credential()
    const { targetId, address, port } = target
    const ms = connectSeconds === undefined ? undefined : connectSeconds * 1_000
    return {
      endpoint: {
        ...{ targetId, address, port, username, credentialId, version },
        ...(kind === 'ssh-certificate' && { onlyFor: runId }),
      },
      knownHostKey: this.#knownKey,
      verifyHostKey: presented => this.#verify(presented),
      secret: () => this.#release(signal),
      signal,
      ...(ms !== undefined && { timeouts: { connectMs: ms, handshakeMs: ms, authMs: ms } }),
    }
  }

  async #verify(presented: string): Promise<void> {
    if (presented === this.#knownKey) return
    if (this.#knownKey === undefined) return await this.#firstUse(presented)
    const { runId, n, epoch, target } = this.#assignment
    const data = { runId, n, epoch, targetId: target.targetId, presented }
    await this.#context.controlPlane.report({ type: 'report-host-key-mismatch', data })
    throw mismatch(presented, this.#knownKey)
  }

  /** Trust at first sight is an event, and it is recorded before anything secret is sent. */
  async #firstUse(presented: string): Promise<void> {
    const { runId, n, epoch, target } = this.#assignment
    const data = { runId, n, epoch, targetId: target.targetId, hostKey: presented }
    const until = performance.now() + OBSERVED_MS
    const left = () => until - performance.now()
    const answer = await this.#context.controlPlane.ask({ type: 'observe-host-key', data }, left, this.#signal)
    if (answer?.status === 'recorded') {
      this.#knownKey = presented
      return
    }
    if (answer?.code === 'host-key-mismatch') throw mismatch(presented, undefined)
    throw new SshFailure('host-key-unknown', `the host key was not recorded: ${answer?.detail ?? 'no answer'}`)
  }
}

function mismatch(presented: string, expected: string | undefined): SshFailure {
  const known = expected === undefined ? 'another key is known' : `expected ${fingerprint(expected)}`
  return new SshFailure('host-key-mismatch', `the target presented ${fingerprint(presented)}; ${known}`)
}

/** As OpenSSH prints it. */
function fingerprint(key: string): string {
  const [type = '', blob = ''] = key.split(' ')
  const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64').replace(/=+$/, '')
  return `${type} SHA256:${digest}`
}
