import { readFileSync } from 'node:fs'
import { InvalidArgumentError } from 'commander'
import { parse } from 'yaml'
import { UsageError } from './errors.ts'

/** A whole number on the command line. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is needed.')
  return Number(text)
}

/** The text of a file, or of standard input for `-`. */
export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`)
  }
}

/** An object in YAML or JSON (which is YAML too). */
export function readObject(file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = parse(readText(file))
  } catch (error) {
    if (error instanceof UsageError) throw error
    // What follows the first line of it is an excerpt of the file, which may hold a secret.
    const [what = ''] = (error as Error).message.split('\n')
    throw new UsageError(`${file} is not valid YAML or JSON: ${what.replace(/:$/, '')}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`${file} must hold an object`)
  return value as Record<string, unknown>
}
