import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Bench, Measurement } from './measurement.ts'

const option = { json: { type: 'boolean', default: false }, scale: { type: 'string', default: '1' } } as const

/**
 * `npm run bench -- <name> … [--json] [--scale 0.1]`: a table, or with `--json` one object a line. A scale below 1 makes
 * those benches smaller that can be: a trial, not a measurement. Ends 1 when a bench fails.
 */
export async function main(argv: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args: argv, options: option, allowPositionals: true })
  const scale = Number(values.scale)
  const known = benches()
  const unknown = positionals.filter(name => !known.includes(name))
  if (positionals.length === 0 || unknown.length > 0 || !(scale > 0 && scale <= 1)) {
    const trouble = unknown.map(name => `There is no bench ${name}.\n`).join('')
    console.error(
      `${trouble}npm run bench -- <name> … [--json] [--scale 0.1], where <name> is one of: ${known.join(', ')}`,
    )
    process.exitCode = 2
    return
  }
  const show = values.json ? asJson : asRow
  if (!values.json) console.log(header)
  for (const name of positionals) await runBench(name, show, scale)
}

async function runBench(name: string, show: (measurement: Measurement) => void, scale: number): Promise<void> {
  try {
    const bench: Bench = await import(`./${name}.js`)
    await bench.run(show, scale)
  } catch (error) {
    console.error(`${name} failed:`, error)
    process.exitCode = 1
  }
}

const NOT_BENCHES = new Set(['main', 'measurement'])

/** Every other module of this folder; what several benches share lies in folders below it. */
function benches(): string[] {
  const modules = readdirSync(import.meta.dirname).filter(file => /^[a-z-]+\.js$/.test(file))
  return modules.map(file => file.replace(/\.js$/, '')).filter(name => !NOT_BENCHES.has(name))
}

function asJson(measurement: Measurement): void {
  console.log(JSON.stringify(measurement))
}

const widths = [38, 14, 14, 14, 8, 6] as const
const header = row(['measurement', 'value', 'unit', 'baseline', 'ratio', 'runs'], 'spread')

function asRow({ name, value, unit, baseline, ratio, runs, spread }: Measurement): void {
  const cells = [name, number(value), unit, number(baseline), number(ratio), String(runs)]
  console.log(row(cells, `±${(50 * spread).toFixed(0)} %`))
}

function row(cells: string[], last: string): string {
  return [
    ...cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[i] ?? 0))),
    `  ${last}`,
  ].join('')
}

function number(value: number | null): string {
  if (value === null) return '–'
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
