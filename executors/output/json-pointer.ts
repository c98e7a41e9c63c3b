import type { OutputValue } from '../../schemas/expression.ts'

/** The value that a JSON pointer (RFC 6901) leads to; undefined where there is none. */
export function atPointer(value: OutputValue, pointer: string): OutputValue | undefined {
  let at: OutputValue | undefined = value
  for (const token of pointer.split('/').slice(1)) {
    at = member(at, token.replaceAll('~1', '/').replaceAll('~0', '~'))
    if (at === undefined) return undefined
  }
  return at
}

function member(value: OutputValue, name: string): OutputValue | undefined {
  if (Array.isArray(value)) return /^(?:0|[1-9]\d*)$/.test(name) ? value[Number(name)] : undefined
  if (typeof value !== 'object' || value === null) return undefined
  return Object.hasOwn(value, name) ? value[name] : undefined
}
