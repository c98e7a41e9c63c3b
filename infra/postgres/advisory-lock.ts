import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import { PostgresUnavailable } from './errors.ts'

export type HeldLock = {
  /** Aborts when the connection that holds the lock is lost: somebody else may hold it from then on. */
  lost: AbortSignal
  release(): Promise<void>
}

const RETRY_MS = 500

/**
 * Waits for a session-level advisory lock on a connection of its own and holds it until released or lost. Being told
 * of a loss takes time, so whatever the holder writes must be guarded as well (by a checkpoint, a revision).
 * Throws PostgresUnavailable when the signal aborts or the connection breaks while waiting.
 */
export async function advisoryLock(
  url: string,
  name: string,
  options: { signal?: AbortSignal } = {},
): Promise<HeldLock> {
  const client = new pg.Client({
    connectionString: url,
    application_name: `opsconductor lock ${name}`,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  })
  const lost = new AbortController()
  client.on('error', () => lost.abort())
  client.on('end', () => lost.abort())
  const end = () => client.end().catch(() => undefined)
  const locking = client.connect().then(() => client.query('select pg_advisory_lock($1)', [lockKey(name)]))
  const over = aborted(options.signal)
  try {
    await Promise.race([locking, over.promise])
  } catch (error) {
    // Only once connected can the client be ended, and then it also gives up the wait for the lock.
    void client.end().catch(() => undefined)
    locking.then(end, end)
    throw error
  } finally {
    over.forget()
  }
  return { lost: lost.signal, release: end }
}

function aborted(signal: AbortSignal | undefined): { promise: Promise<never>; forget(): void } {
  let forget = () => {}
  const promise = new Promise<never>((_, reject) => {
    const giveUp = () => reject(new PostgresUnavailable('given up'))
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp, { once: true })
    forget = () => signal?.removeEventListener('abort', giveUp)
  })
  return { promise, forget: () => forget() }
}

/**
 * Runs the work while holding the lock, again and again until the signal aborts: one active holder per name over any
 * number of processes. The work must end soon after its signal aborts. A failure of the work is logged and retried.
 */
export async function whileLeading(
  options: { url: string; name: string; log: Logger; signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { url, name, log, signal } = options
  while (!signal.aborted) {
    try {
      const held = await advisoryLock(url, name, { signal })
      log.info({ lock: name }, 'leading')
      await work(AbortSignal.any([signal, held.lost])).finally(() => held.release())
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error, lock: name }, 'stopped leading, trying again')
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** The 64-bit key of a name, as Postgres takes it. */
function lockKey(name: string): string {
  return createHash('sha256').update(`opsconductor ${name}`).digest().readBigInt64BE(0).toString()
}
