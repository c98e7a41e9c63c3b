/** What expressions work on: JSON, whole numbers being `bigint` (CEL int) and all others `number` (CEL double). */
export type Value = null | boolean | string | bigint | number | readonly Value[] | { readonly [key: string]: Value }
export type ValueMap = { readonly [key: string]: Value }

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value)
export const isMap = (value: Value): value is ValueMap =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** From JSON. Whole numbers become ints, so that `count + 1` is what it looks like. */
export function fromJson(json: unknown): Value {
  if (typeof json === 'number') return Number.isSafeInteger(json) ? BigInt(json) : json
  if (typeof json === 'string' || typeof json === 'boolean' || json === null) return json
  if (Array.isArray(json)) return json.map(fromJson)
  if (typeof json === 'object') return Object.fromEntries(Object.entries(json).map(([k, v]) => [k, fromJson(v)]))
  return null
}

/** Back to JSON. */
export function toJson(value: Value): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (isList(value)) return value.map(toJson)
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, toJson(v)]))
  return value
}

export function typeName(value: Value): string {
  if (value === null) return 'null'
  if (isList(value)) return 'list'
  switch (typeof value) {
    case 'bigint':
      return 'int'
    case 'number':
      return 'double'
    case 'boolean':
      return 'bool'
    case 'string':
      return 'string'
    case 'object':
      return 'map'
  }
}

/** A plain value as text; undefined for what has no obvious one. */
export function plainText(value: Value): string | undefined {
  return value === null || typeof value === 'object' ? undefined : `${value}`
}
