import { stringify } from 'yaml'
import type { Output } from './settings.ts'

type Row = Record<string, unknown>
export type Column = readonly [title: string, value: (row: Row) => unknown]

/** Remote text may carry escape sequences; a terminal must never act on them. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, char => (char === '\n' || char === '\t' ? char : '\uFFFD'))
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (typeof value !== 'object') return plain(String(value)).replaceAll('\n', ' ')
  const entries = Object.entries(value)
  return entries.length ? plain(entries.map(([k, v]) => (v === '' ? k : `${k}=${v}`)).join(',')) : '-'
}

/** A table with as wide columns as it needs, for people. */
export function table(rows: readonly Row[], columns: readonly Column[]): string {
  const lines = [
    columns.map(([title]) => title.toUpperCase()),
    ...rows.map(row => columns.map(([, of]) => cell(of(row)))),
  ]
  const widths = columns.map((_, i) => Math.max(...lines.map(line => line[i]?.length ?? 0)))
  return lines
    .map(line =>
      line
        .map((text, i) => text.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** One thing, a field a line. */
function fields(row: Row): string {
  const width = Math.max(...Object.keys(row).map(key => key.length))
  return Object.entries(row)
    .map(
      ([key, value]) =>
        `${key.padEnd(width)}  ${isNested(value) ? `\n${plain(stringify(value)).trimEnd().replace(/^/gm, '    ')}` : cell(value)}`,
    )
    .join('\n')
}

const isNested = (value: unknown) =>
  typeof value === 'object' && value !== null && Object.values(value).some(v => typeof v === 'object' && v !== null)

/** Data goes to stdout in the form that was asked for. */
export function print(output: Output, data: unknown, columns?: readonly Column[]): void {
  if (output === 'json') console.log(JSON.stringify(data, null, 2))
  else if (output === 'yaml') process.stdout.write(stringify(data))
  else if (Array.isArray(data) && columns) console.log(data.length ? table(data as Row[], columns) : 'none')
  else console.log(fields(data as Row))
}

/** Progress and remarks go to stderr, so that stdout stays clean for data. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}
