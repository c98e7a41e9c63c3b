import type { Source } from '../artifacts.ts'
import { ask } from '../ssh/ask.ts'
import { type Remote, remoteDigest } from './digest.ts'
import { besideOf } from './path.ts'
import { SftpRefused } from './session.ts'
import { Stopped, upload } from './transfer.ts'

export type Goal = { path: string; source: Source; mode: number; owner: string | undefined }

/** A file on the target is not as it should be. */
export class TransferFailed extends Error {
  override name = 'TransferFailed'
}

const OWN_MS = 15_000
const OWN = 'chown -- "$1" "$2" 2>/dev/null'
const IS_OWN = 'find "$3" -prune -user "$1" ${2:+-group "$2"} -print'
const KIND = 0o170000
const REGULAR = 0o100000
const PERMISSIONS = 0o7777

/**
 * One file on its way to a target: written beside its place under another name, checked, then renamed. Can be begun
 * again over another connection after the first was lost, and then goes on where it was.
 */
export class FileWrite {
  readonly #goal: Goal
  readonly #beside: string
  /** How much is there for certain; undefined before the file beside was made. */
  #reached: number | undefined
  #renaming = false

  constructor(goal: Goal) {
    this.#goal = goal
    this.#beside = besideOf(goal.path)
  }

  /** Whether the file itself may have been replaced. */
  get mayHaveHappened(): boolean {
    return this.#renaming
  }

  /** Answers whether anything was changed. Rejects with what the session or the source rejects, TransferFailed, Stopped. */
  async run(remote: Remote, progress: { signal: AbortSignal; alive(): void }): Promise<boolean> {
    const begun = this.#renaming
    if ((this.#reached === undefined || begun) && (await this.#isThere(remote, progress.signal))) return begun
    await this.#write(remote, progress)
    if (progress.signal.aborted) throw new Stopped()
    this.#renaming = true
    await remote.session.replace(this.#beside, this.#goal.path)
    return true
  }

  /** What lies beside the file now. */
  get leftover(): string | undefined {
    return this.#reached === undefined ? undefined : this.#beside
  }

  /** Removes what was written beside. */
  async cleanUp({ session }: Remote): Promise<void> {
    if (this.#reached !== undefined) await session.remove(this.#beside)
    this.#reached = undefined
  }

  async #write(remote: Remote, { signal, alive }: { signal: AbortSignal; alive(): void }): Promise<void> {
    const { session } = remote
    const { source, mode, owner } = this.#goal
    const handle = await this.#open(remote)
    const reached = (bytes: number) => {
      this.#reached = bytes
      alive()
    }
    await upload(session, handle, source, this.#reached ?? 0, { signal, reached })
    if (owner !== undefined) await this.#own(remote, owner)
    // After the owner: a change of owner takes some permissions away.
    await session.setMode(handle, mode)
    await session.sync(handle)
    await session.close(handle)
    const arrived = await remoteDigest(remote, this.#beside, signal)
    if (arrived !== source.sha256) throw new TransferFailed('what arrived is not what was sent: the SHA-256 differ')
  }

  async #open({ session }: Remote): Promise<Buffer> {
    if (this.#reached !== undefined) {
      try {
        return await session.open(this.#beside, 'r+')
      } catch (error) {
        if (!(error instanceof SftpRefused && error.isMissing)) throw error
      }
    }
    const handle = await session.open(this.#beside, 'wx')
    this.#reached = 0
    return handle
  }

  async #own({ connection }: Remote, owner: string): Promise<void> {
    const said = await ask(connection, OWN, [owner, this.#beside], OWN_MS)
    if (said?.exitCode !== 0) throw new TransferFailed(`the owner could not be set to ${owner}`)
  }

  /** Whether the file is as it should be: a regular one, with the content, the permissions and the owner. */
  async #isThere(remote: Remote, signal: AbortSignal): Promise<boolean> {
    const { path, source, mode, owner } = this.#goal
    const found = await remote.session.look(path)
    if (!found || (found.mode & KIND) !== REGULAR) return false
    if (found.size !== source.bytes || (found.mode & PERMISSIONS) !== mode) return false
    if (owner !== undefined) {
      const [user = '', group = ''] = owner.split(':')
      const said = await ask(remote.connection, IS_OWN, [user, group, path], OWN_MS)
      if (!said?.text) return false
    }
    try {
      return (await remoteDigest(remote, path, signal)) === source.sha256
    } catch (error) {
      // Not ours to read: it is written anew.
      if (error instanceof SftpRefused) return false
      throw error
    }
  }
}
