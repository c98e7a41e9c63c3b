import { z } from 'zod'

const levels: Record<number, string> = { 20: 'debug', 30: '', 40: 'warning', 50: 'ERROR', 60: 'FATAL' }
const logLine = z.looseObject({ level: z.number(), msg: z.string().default('') })
const failure = z.looseObject({ message: z.string(), stack: z.string().optional() })
const NAME_WIDTH = 16

/** One line of a role's output for people: time, role, message, fields. What is not a log line is kept as it is. */
export function formatLine(role: string, line: string, now: Date): string {
  const prefix = `${now.toISOString().slice(11, 19)} ${role.padEnd(NAME_WIDTH)} `
  const entry = parse(line)
  if (!entry) return prefix + line
  const { level, msg, err, time: _time, role: _role, ...fields } = entry
  const error = failure.safeParse(err)
  const told = [levels[level] ?? `level ${level}`, msg, ...Object.entries(fields).map(showField)]
  const text = told.filter(Boolean).join('  ')
  if (!error.success) return prefix + text
  const shown = level >= 50 ? (error.data.stack ?? error.data.message) : error.data.message
  return prefix + [text, ...shown.split('\n')].join(`\n${prefix}  `)
}

function parse(line: string): z.output<typeof logLine> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return logLine.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

function showField([name, value]: [string, unknown]): string {
  return `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`
}
