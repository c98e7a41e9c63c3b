import { z } from 'zod'

type Json = { [key: string]: unknown }

/** A Markdown table of the fields an object schema takes, nested objects one level down, or nothing for one without. */
export function fieldTable(schema: z.ZodType): string {
  const { properties = {}, required = [] } = toJson(schema)
  const rows = Object.entries(properties as Json).map(([name, of]) => {
    const field = of as Json
    const must = (required as string[]).includes(name) ? 'yes' : ''
    return `| \`${name}\` | ${cell(typeText(field))} | ${must} | ${cell(noteText(field))} |`
  })
  return rows.length === 0 ? '' : ['| field | type | required | |', '|---|---|---|---|', ...rows].join('\n')
}

/** Always an object, whose parts are what the JSON Schema standard says; `io: input` shows what a client may leave out. */
function toJson(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as Json
}

function typeText(of: Json): string {
  const variants = (of.oneOf ?? of.anyOf) as Json[] | undefined
  if (variants) return [...new Set(variants.map(typeText))].join(' or ')
  if (Array.isArray(of.enum)) return of.enum.map(value => `\`${value}\``).join(', ')
  if (of.const !== undefined) return `\`${of.const}\``
  if (of.type === 'array') return `list of ${typeText((of.items ?? {}) as Json)}`
  if (of.type === 'object') return objectText(of)
  if (of.format === 'uuid') return 'UUID'
  if (of.format === 'date-time') return 'instant'
  return String(of.type ?? 'any')
}

function objectText({ properties, additionalProperties, required = [] }: Json): string {
  if (!properties) {
    const value = (additionalProperties as Json | undefined)?.type
    return `map of ${value === undefined || value === 'string' ? 'text' : value}`
  }
  const optional = (name: string) => ((required as string[]).includes(name) ? '' : '?')
  return `{ ${Object.keys(properties)
    .map(name => `${name}${optional(name)}`)
    .join(', ')} }`
}

function noteText(of: Json): string {
  const notes = [
    of.default === undefined ? '' : `default \`${JSON.stringify(of.default)}\``,
    of.maxLength === undefined ? '' : `at most ${of.maxLength} characters`,
    of.maxItems === undefined ? '' : `at most ${of.maxItems}`,
    range(of),
  ]
  return notes.filter(Boolean).join('; ')
}

function range({ minimum, maximum }: Json): string {
  const bounded = (n: unknown): n is number => typeof n === 'number' && Math.abs(n) < Number.MAX_SAFE_INTEGER
  if (bounded(minimum) && bounded(maximum)) return `${minimum} to ${maximum}`
  return bounded(minimum) ? `from ${minimum}` : ''
}

/** A bar would end the cell. */
const cell = (text: string): string => text.replaceAll('|', '\\|')
