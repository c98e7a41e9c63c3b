import type { Effect } from './effects.ts'
import type { Kill } from './nemesis.ts'

/** Milliseconds from a kill until something was as it should be. */
export type Spread = { p50: number; p99: number }
export type Recovery = {
  /** The process is back and says that it is ready. */
  ready: Spread
  /** The next command was acknowledged. */
  command: Spread
  /** The next step took effect on a target. */
  step: Spread
}

/** `acks`: when commands were acknowledged. All times in milliseconds of the wall clock. */
export function recovery(kills: readonly Kill[], acks: readonly number[], effects: readonly Effect[]): Recovery {
  const effectTimes = effects.map(effect => effect.at).sort((a, b) => a - b)
  const next = (times: readonly number[]) =>
    kills.flatMap(({ at }) => {
      const first = times.find(time => time > at)
      return first === undefined ? [] : [first - at]
    })
  return {
    ready: spread(kills.flatMap(kill => kill.readyAfterMs ?? [])),
    command: spread(next(acks)),
    step: spread(next(effectTimes)),
  }
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p99: at(0.99) }
}
