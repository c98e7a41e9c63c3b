import { type SystemOptions, startSystem } from '../../test/support/system.ts'

export type Ending = { teardown(fn: () => unknown): void; end(): Promise<void> }

/** Ends what a bench started, newest first. */
export function ending(): Ending {
  const ends: Array<() => unknown> = []
  return {
    teardown: fn => void ends.push(fn),
    async end() {
      for (const fn of ends.reverse()) await fn()
    },
  }
}

export type BenchSystem = { url: string; apiKey: string; pid: number; dataDir: string; readySeconds: number }

/** A bench asks for as much as there is. */
const unlimited = { OPSCONDUCTOR_LOG_LEVEL: 'warn', OPSCONDUCTOR_RATE_LIMIT: '0' }

/** Starts the whole system and waits until it is ready. The key is the one its first start prints; absent later. */
export async function benchSystem(t: Ending, options: SystemOptions = {}): Promise<BenchSystem> {
  const began = performance.now()
  const system = startSystem(t, { ...options, env: { ...unlimited, ...options.env } })
  await system.printed(/OpsConductor is ready/)
  const readySeconds = (performance.now() - began) / 1000
  const { url } = system.runtime()
  const apiKey =
    /opsc_[0-9a-f]{12}_[A-Za-z0-9_-]{43}/.exec(system.output())?.[0] ?? options.env?.OPSCONDUCTOR_API_KEY ?? ''
  return { url: url ?? '', apiKey, pid: system.child.pid ?? 0, dataDir: system.dataDir, readySeconds }
}
