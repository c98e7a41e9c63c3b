/** One measured number. `baseline` is what it is held against, measured in the same run; `ratio` is value / baseline. */
export type Measurement = {
  name: string
  /** Median of the runs. */
  value: number
  unit: string
  baseline: number | null
  ratio: number | null
  runs: number
  /** (largest − smallest) / median of the runs; 0 of a single one. */
  spread: number
}

/** What a bench reports through; a bench is a module in this folder that exports `run`. */
export type Emit = (measurement: Measurement) => void
/** `scale`: above 0, and 1 unless a smaller trial was asked for. */
export type Bench = { run(emit: Emit, scale: number): Promise<void> }

/** Sums up the values of several runs of the same measurement. Throws when there is none. */
export function measurement(name: string, unit: string, values: readonly number[], baseline?: number): Measurement {
  const sorted = [...values].sort((a, b) => a - b)
  const value = median(sorted)
  const range = (sorted.at(-1) ?? value) - (sorted[0] ?? value)
  return {
    name,
    value,
    unit,
    baseline: baseline ?? null,
    ratio: baseline ? value / baseline : null,
    runs: values.length,
    spread: value === 0 ? 0 : range / value,
  }
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2
  const pair = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  const [low, high] = pair
  if (low === undefined || high === undefined) throw new Error('a measurement needs at least one run')
  return (low + high) / 2
}
