import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../infra/log.ts'
import type { HeldLock } from '../infra/postgres.ts'

export type Work = { stop(): Promise<void> }
export type OnlyOneOptions = {
  /** Waits for the lock that one process can hold; rejects when Postgres cannot be reached or the signal aborts. */
  lock(signal: AbortSignal): Promise<HeldLock>
  start(): Promise<Work>
  log: Log
  signal: AbortSignal
  /** A lock not had after so many milliseconds is held by another process. Default 6,000: longer than a connect. */
  patienceMs?: number
}

const RETRY_MS = 500

/**
 * Keeps the work running in one process of several. Postgres is only asked who: without it the work goes on (or
 * begins), because two at work do no harm and none at work lets every run stand still. Resolves when the signal
 * aborts and the work has stopped.
 */
export async function onlyOne(options: OnlyOneOptions): Promise<void> {
  const { log, signal, start, patienceMs = 6_000 } = options
  let work: Work | undefined
  const begin = async () => {
    work ??= await start()
  }
  const end = async () => {
    const ending = work
    work = undefined
    await ending?.stop()
  }
  while (!signal.aborted) {
    const waiting = options.lock(signal)
    const first = await soon(waiting, patienceMs)
    if (first === 'held by another' && work) {
      log.warn('another process works as the reactors: stopping here')
      await end()
    }
    const held = first === 'held by another' ? await outcome(waiting) : first
    if (signal.aborted) {
      if (held !== 'unreachable') await held.release()
      break
    }
    await begin()
    if (held === 'unreachable') await delay(RETRY_MS, undefined, { signal }).catch(() => {})
    else await keep(held, signal)
  }
  await end()
}

/** Until the lock is lost, or until it is ours to give back. */
async function keep(held: HeldLock, signal: AbortSignal): Promise<void> {
  const either = AbortSignal.any([held.lost, signal])
  await new Promise<void>(resolve => {
    if (either.aborted) resolve()
    else either.addEventListener('abort', () => resolve(), { once: true })
  })
  if (signal.aborted) await held.release()
}

/** The outcome when it comes in time. */
async function soon(
  waiting: Promise<HeldLock>,
  patienceMs: number,
): Promise<HeldLock | 'unreachable' | 'held by another'> {
  const decided = new AbortController()
  const late = delay(patienceMs, 'held by another' as const, { signal: decided.signal })
  late.catch(() => {})
  return Promise.race([outcome(waiting), late]).finally(() => decided.abort())
}

async function outcome(waiting: Promise<HeldLock>): Promise<HeldLock | 'unreachable'> {
  return waiting.catch(() => 'unreachable' as const)
}
