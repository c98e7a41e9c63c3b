import { setTimeout as delay } from 'node:timers/promises'

/** Waits that long, or until the signal is given. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, signal ? { signal } : {}).catch(() => undefined)
}

/** Delay before the next try: doubles from 50 ms up to `most`, with jitter so that many do not knock together. */
export const backoffMs = (failures: number, most: number): number =>
  Math.min(most, 50 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)

/** The promise's value, or `undefined` when it takes longer. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController()
  try {
    return await Promise.race([promise, pause(ms, timer.signal).then(() => undefined)])
  } finally {
    timer.abort()
  }
}

/** Resolves when the signal is given. */
export function aborted(signal: AbortSignal): Promise<'stop'> {
  if (signal.aborted) return Promise.resolve('stop')
  return new Promise(resolve => signal.addEventListener('abort', () => resolve('stop'), { once: true }))
}
