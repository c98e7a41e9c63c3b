import type { SFTPWrapper, Stats } from 'ssh2'
import { SshLost } from '../ssh/failure.ts'

/** What the server answered instead of doing it (draft-ietf-secsh-filexfer-02, section 7). */
export class SftpRefused extends Error {
  override name = 'SftpRefused'
  readonly code: number
  constructor(code: number, detail: string) {
    super(detail)
    this.code = code
  }
  get isMissing(): boolean {
    return this.code === 2
  }
}

type Done<T> = (error?: (Error & { code?: unknown }) | null, value?: T) => void

/** File operations over one channel. Each rejects with SftpRefused, or with SshLost when the channel is gone. */
export class SftpSession {
  readonly #sftp: SFTPWrapper
  readonly #gone: Promise<never>
  #isGone = false

  constructor(sftp: SFTPWrapper) {
    this.#sftp = sftp
    this.#gone = new Promise((_resolve, reject) => {
      const lost = () => {
        this.#isGone = true
        reject(new SshLost('the connection was lost during a file transfer'))
      }
      for (const event of ['end', 'close', 'error']) sftp.on(event, lost)
    })
    this.#gone.catch(() => undefined)
  }

  /** Flags as fopen(3) has them, with `x` for "only if it is not there". Permissions are those of a new file. */
  open(path: string, flags: 'r' | 'r+' | 'wx', mode = 0o600): Promise<Buffer> {
    return this.#ask(done => this.#sftp.open(path, flags, { mode }, done))
  }

  async close(handle: Buffer): Promise<void> {
    await this.#ask<void>(done => this.#sftp.close(handle, done))
  }

  /** Some of what is there, nothing at the end of the file. */
  async read(handle: Buffer, offset: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length)
    try {
      const bytes = await this.#ask<number>(done => this.#sftp.read(handle, buffer, 0, length, offset, done))
      return buffer.subarray(0, bytes)
    } catch (error) {
      if (error instanceof SftpRefused && error.code === 1) return Buffer.alloc(0)
      throw error
    }
  }

  async write(handle: Buffer, bytes: Buffer, offset: number): Promise<void> {
    await this.#ask<void>(done => this.#sftp.write(handle, bytes, 0, bytes.length, offset, done))
  }

  stat(handle: Buffer): Promise<Stats> {
    return this.#ask(done => this.#sftp.fstat(handle, done))
  }

  /** Of the name itself, not of what a link leads to; undefined when there is nothing. */
  async look(path: string): Promise<Stats | undefined> {
    try {
      return await this.#ask<Stats>(done => this.#sftp.lstat(path, done))
    } catch (error) {
      if (error instanceof SftpRefused && error.isMissing) return undefined
      throw error
    }
  }

  async setMode(handle: Buffer, mode: number): Promise<void> {
    await this.#ask<void>(done => this.#sftp.fsetstat(handle, { mode }, done))
  }

  /** Makes it survive a loss of power, where the server knows how (fsync@openssh.com). */
  async sync(handle: Buffer): Promise<void> {
    if (this.#isGone) return await this.#gone
    try {
      await this.#ask<void>(done => this.#sftp.ext_openssh_fsync(handle, done))
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error
    }
  }

  /** Replaces what is there, in one step (posix-rename@openssh.com). */
  async replace(from: string, to: string): Promise<void> {
    try {
      await this.#ask<void>(done => this.#sftp.ext_openssh_rename(from, to, done))
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error
      await this.#rename(from, to)
    }
  }

  /** By the protocol it does not replace anything: it fails where the name is taken. */
  async #rename(from: string, to: string): Promise<void> {
    try {
      await this.#ask<void>(done => this.#sftp.rename(from, to, done))
    } catch (error) {
      if (!(error instanceof SftpRefused)) throw error
      throw new SftpRefused(error.code, `${error.message}: the server cannot replace a file in one step`)
    }
  }

  async remove(path: string): Promise<void> {
    await this.#ask<void>(done => this.#sftp.unlink(path, done))
  }

  end(): void {
    this.#sftp.end()
  }

  async #ask<T>(start: (done: Done<T>) => void): Promise<T> {
    if (this.#isGone) return await this.#gone
    const answer = new Promise<T>((resolve, reject) => {
      try {
        start((error, value) => {
          if (!error)
            resolve(value as T) // the server's success carries what was asked for
          else if (typeof error.code === 'number') reject(new SftpRefused(error.code, error.message))
          else reject(new SshLost(error.message))
        })
      } catch {
        // ssh2 throws, before it sends anything, only when the server lacks an extension.
        reject(new Unsupported())
      }
    })
    return await Promise.race([answer, this.#gone])
  }
}

class Unsupported extends Error {
  override name = 'Unsupported'
}
