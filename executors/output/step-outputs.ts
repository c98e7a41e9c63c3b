import { RE2JS } from 're2js'
import type { OutputValue } from '../../schemas/expression.ts'
import type { OutputSpec } from '../../schemas/steps/base.ts'
import { atPointer } from './json-pointer.ts'

/** Only the beginning of a step's standard output is searched for values. */
export const CAPTURE_BYTES = 1024 * 1024
const LARGEST_VALUE = 8 * 1024

class NotFound extends Error {
  override name = 'NotFound'
}

/** The values an author asked for, from what a step printed, masked; or which of them is missing, and why. */
export function outputsOf(
  specs: Readonly<Record<string, OutputSpec>>,
  printed: Buffer,
): { outputs: Record<string, OutputValue> } | { missing: string } {
  const text = printed.toString()
  const outputs: Record<string, OutputValue> = {}
  for (const [name, spec] of Object.entries(specs)) {
    try {
      outputs[name] = bounded(find(spec, text))
    } catch (error) {
      if (!(error instanceof NotFound)) throw error
      return { missing: `output ${name}: ${error.message}` }
    }
  }
  return { outputs }
}

function find(spec: OutputSpec, text: string): OutputValue {
  switch (spec.as) {
    case 'text':
      return text.replace(/[\r\n]+$/, '')
    case 'json':
      return fromJson(text, spec.pointer ?? '')
    case 'regex':
      return firstMatch(text, spec.pattern)
  }
}

function fromJson(text: string, pointer: string): OutputValue {
  let parsed: OutputValue
  try {
    // JSON.parse yields JSON and nothing else.
    parsed = JSON.parse(text) as OutputValue
  } catch {
    throw new NotFound('standard output is not JSON')
  }
  const found = atPointer(parsed, pointer)
  if (found === undefined) throw new NotFound(`there is nothing at ${pointer}`)
  return found
}

function firstMatch(text: string, pattern: string): string {
  const matcher = RE2JS.compile(pattern).matcher(text)
  if (!matcher.find()) throw new NotFound('the pattern matches nothing')
  const group = matcher.groupCount() > 0 ? matcher.group(1) : matcher.group()
  if (group === null) throw new NotFound('the first group of the pattern matches nothing')
  return group
}

function bounded(value: OutputValue): OutputValue {
  if (Buffer.byteLength(JSON.stringify(value)) > LARGEST_VALUE) throw new NotFound('longer than 8 KiB')
  return value
}
