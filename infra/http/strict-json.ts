import { ProblemError } from '../../schemas/problems.ts'

const MAX_DEPTH = 32
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const poison = new Set(['__proto__', 'constructor', 'prototype'])
/** Any of these in the text may hide a poisoned key, escaped or not. */
const suspicious = /proto|constructor|\\u/

/**
 * Parses UTF-8 JSON (RFC 8259) that came from outside. Refuses invalid UTF-8, a byte order mark, nesting deeper than
 * 32, keys that are there twice, and those through which an object could reach a prototype.
 * @throws ProblemError invalid-json; its detail never repeats the input.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new ProblemError('invalid-json', 'The body is empty')
  const text = decode(bytes)
  const { deep, members } = shapeOf(text)
  if (deep) throw new ProblemError('invalid-json', `Nested deeper than ${MAX_DEPTH} levels`)
  const value = parse(text)
  if (suspicious.test(text)) refusePoison(value)
  // Of a key that is there twice only the last value is left: whoever checked the first one was deceived.
  if (membersOf(value) !== members) throw new ProblemError('invalid-json', 'A key is there twice in one object')
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new ProblemError('invalid-json', 'The body is not valid UTF-8')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ProblemError('invalid-json', 'The body is not valid JSON')
  }
}

/**
 * Looks at what is outside of strings before anything is built, so that depth costs no stack and no memory: whether it is
 * nested too deep, and how many members its objects have together, by their colons.
 */
function shapeOf(text: string): { deep: boolean; members: number } {
  let depth = 0
  let members = 0
  let inString = false
  for (let i = 0; i < text.length; i += 1) {
    const char = text.charCodeAt(i)
    if (inString) {
      if (char === 0x5c) i += 1
      else if (char === 0x22) inString = false
    } else if (char === 0x22) inString = true
    else if (char === 0x3a) members += 1
    else if (char === 0x7b || char === 0x5b) {
      depth += 1
      if (depth > MAX_DEPTH) return { deep: true, members }
    } else if (char === 0x7d || char === 0x5d) depth -= 1
  }
  return { deep: false, members }
}

/** Recursion is bounded by the depth check. */
function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const isList = Array.isArray(value)
  const inner: readonly unknown[] = isList ? value : Object.values(value)
  let members = isList ? 0 : inner.length
  for (const each of inner) members += membersOf(each)
  return members
}

/** Recursion is bounded by the depth check. */
function refusePoison(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, member] of Object.entries(value)) {
    if (!Array.isArray(value) && poison.has(key)) throw new ProblemError('invalid-json', `The key ${key} is refused`)
    refusePoison(member)
  }
}
