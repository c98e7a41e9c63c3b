import * as fs from 'node:fs'
import { closeSync, constants, fdatasyncSync, fsyncSync, ftruncateSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { encodeRecord, HEADER_BYTES, type RecordRef, scanRecords } from './record-format.ts'

/** A spool file holds bytes that were durable once and cannot be read any more. Names the file and the offset. */
export class SpoolDamaged extends Error {
  override name = 'SpoolDamaged'
}

export type RecordLogOptions = {
  /** Called once when the disk is full, and once when it takes data again; writing is retried meanwhile. */
  onFull(full: boolean): void
  /** Called on any other failed write: what is on disk is not known any more, so the process must end. */
  onFatal(error: Error): void
}

const write = promisify(fs.write)
const read = promisify(fs.read)
const fdatasync = promisify(fs.fdatasync)

const RETRY_FULL_MS = 500
const FULL = new Set(['ENOSPC', 'EDQUOT'])

/**
 * A file of checksummed records that only grows. Appends are taken in at once and written in batches by one writer;
 * `flush` waits until everything appended so far is durable, and all who wait share one fdatasync.
 */
export class RecordLog {
  readonly file: string
  readonly #fd: number
  readonly #options: RecordLogOptions
  #pending: Buffer[] = []
  #pendingBytes = 0
  #waiting: Array<{ resolve(): void; reject(error: Error): void }> = []
  #end: number
  #durable: number
  #writing: Promise<void> | undefined
  #failed: Error | undefined
  readonly #closing = new AbortController()

  private constructor(file: string, fd: number, end: number, options: RecordLogOptions) {
    this.file = file
    this.#fd = fd
    this.#end = end
    this.#durable = end
    this.#options = options
  }

  /**
   * Opens or makes a file and hands out what it holds. A last record cut short by a crash is removed.
   * Throws SpoolDamaged.
   */
  static open(
    file: string,
    options: RecordLogOptions,
  ): { log: RecordLog; records: Array<RecordRef & { payload: Buffer }> } {
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600)
    const content = readFileSync(fd)
    const { records, end, damagedAt } = scanRecords(content)
    if (damagedAt !== undefined) {
      closeSync(fd)
      throw new SpoolDamaged(`${file} is damaged at byte ${damagedAt}; move it away to go on without what it holds`)
    }
    if (end < content.length) ftruncateSync(fd, end)
    fdatasyncSync(fd)
    syncFolder(path.dirname(file))
    const found = records.map(ref => ({ ...ref, payload: content.subarray(ref.offset, ref.offset + ref.length) }))
    return { log: new RecordLog(file, fd, end, options), records: found }
  }

  /** A new, empty file, ready at once; `open` must not find it taken. */
  static create(file: string, options: RecordLogOptions): RecordLog {
    const fd = openSync(file, 'wx+', 0o600)
    syncFolder(path.dirname(file))
    return new RecordLog(file, fd, 0, options)
  }

  /** Takes a record in and says where it will lie. */
  append(payload: Uint8Array): RecordRef {
    const record = encodeRecord(payload, this.#durable)
    const ref = { offset: this.#end + HEADER_BYTES, length: payload.length }
    this.#end += record.length
    this.#pending.push(record)
    this.#pendingBytes += record.length
    this.#kick()
    return ref
  }

  /** Resolves when everything appended so far is on disk to stay. Rejects when it cannot be. */
  flush(): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed)
    if (this.#durable === this.#end) return Promise.resolve()
    const done = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    this.#kick()
    return done
  }

  /** Resolves when everything appended so far can be read back. */
  async written(): Promise<void> {
    const upTo = this.#end
    while (this.#writing && this.#end - this.#pendingBytes < upTo) await this.#writing
    if (this.#failed) throw this.#failed
  }

  async read(ref: RecordRef): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(ref.length)
    const { bytesRead } = await read(this.#fd, bytes, 0, ref.length, ref.offset)
    if (bytesRead !== ref.length) throw new SpoolDamaged(`${this.file} is shorter than what was written to it`)
    return bytes
  }

  /** Length of the file once everything is written. */
  get size(): number {
    return this.#end
  }

  /** Bytes taken in but not yet handed to the operating system. */
  get unwritten(): number {
    return this.#pendingBytes
  }

  /** Writes what is left, without waiting for a full disk to have room again. */
  async close(): Promise<void> {
    this.#closing.abort()
    while (this.#writing) await this.#writing
    closeSync(this.#fd)
  }

  #kick(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
      if (this.#pending.length > 0 || this.#waiting.length > 0) this.#kick()
    })
  }

  async #write(): Promise<void> {
    // Whatever is appended in the same turn of the event loop shares the write.
    await new Promise(resolve => setImmediate(resolve))
    const records = this.#pending
    const waiting = this.#waiting
    const upTo = this.#end
    const from = upTo - this.#pendingBytes
    this.#pending = []
    this.#waiting = []
    try {
      if (this.#failed) throw this.#failed
      await this.#writeAll(Buffer.concat(records), from)
      this.#pendingBytes -= upTo - from
      if (waiting.length === 0) return
      await fdatasync(this.#fd)
      this.#durable = upTo
      for (const each of waiting) each.resolve()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
      for (const each of waiting) each.reject(this.#failed ?? new Error('the spool failed'))
    }
  }

  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    let done = 0
    let full = false
    while (done < bytes.length) {
      try {
        // A nearly full disk takes a part without an error, so what was written must be counted.
        const { bytesWritten } = await write(this.#fd, bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      } catch (error) {
        if (!FULL.has((error as NodeJS.ErrnoException).code ?? '') || this.#closing.signal.aborted) throw error
        if (!full) this.#options.onFull(true)
        full = true
        await delay(RETRY_FULL_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined)
      }
    }
    if (full) this.#options.onFull(false)
  }

  #fail(error: Error): void {
    if (this.#failed) return
    this.#failed = error
    if (!this.#closing.signal.aborted) this.#options.onFatal(error)
  }
}

/** Makes names that were added to or removed from a folder durable. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
