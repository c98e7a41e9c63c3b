/** JSON has no raw control characters, so one can stand between two documents and nothing needs escaping. */
const SEPARATOR = '\u001e'
/** The separator as Postgres spells it. */
export const JSON_SEPARATOR = 'chr(30)'

/** Postgres stores neither NUL nor half a surrogate pair; what an executor read may hold both. */
const unstorable = /\0|\p{Cs}/gu
const unstorableInJson = /\\u(?:0000|d[89a-f])/i
const storable = (text: string): string => text.replace(unstorable, '\ufffd')

/** JSON documents as one text, to be split by the separator; nothing between two separators stands for null. */
export function jsonList(values: readonly unknown[]): string {
  return values.map(value => (value === null || value === undefined ? '' : toJson(value))).join(SEPARATOR)
}

function toJson(value: unknown): string {
  const text = JSON.stringify(value)
  if (!text.includes('\\u') || !unstorableInJson.test(text)) return text
  return JSON.stringify(value, (_, inner) => (typeof inner === 'string' ? storable(inner) : inner))
}

/** What most texts are made of; nothing in it has a meaning of its own, unless four letters spell null. */
const plain = /^[\w.:/-]+$/
const needsQuotes = /[\s"\\{},]|^$|^null$/i

/** An array as Postgres reads it (manual, section 8.15.6). Only text can hold anything that needs quotes. */
export function arrayLiteral(type: string, values: readonly unknown[]): string {
  const element = type === 'text' ? textElement : plainElement
  return `{${values.map(element).join(',')}}`
}

const plainElement = (value: unknown) => (value === null || value === undefined ? 'NULL' : String(value))

function textElement(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  const given = String(value)
  if (plain.test(given) && given.length !== 4) return given
  const text = storable(given)
  return needsQuotes.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text
}
