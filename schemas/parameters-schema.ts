import type { ParameterSpec, ParameterSpecs } from './parameters.ts'

export type JsonSchema = { [key: string]: unknown }

/** What a form needs to ask for the parameters: JSON Schema 2020-12 of the object that holds them. */
export function parametersJsonSchema(specs: ParameterSpecs | undefined = {}): JsonSchema {
  const entries = Object.entries(specs)
  const required = entries.flatMap(([name, spec]) => (spec.required && !('default' in spec) ? [name] : []))
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, spec]) => [name, property(spec)])),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  }
}

function property(spec: ParameterSpec): JsonSchema {
  return defined({
    title: spec.label,
    description: spec.help,
    ...kindOf(spec),
    default: 'default' in spec ? spec.default : undefined,
  })
}

function kindOf(spec: ParameterSpec): JsonSchema {
  switch (spec.type) {
    case 'string':
      return { type: 'string', minLength: spec.minLength, maxLength: spec.maxLength, pattern: whole(spec.pattern) }
    case 'integer':
    case 'number':
      return { type: spec.type, minimum: spec.minimum, maximum: spec.maximum }
    case 'boolean':
      return { type: 'boolean' }
    case 'enum':
      return { type: 'string', enum: spec.values }
    case 'list':
      return { type: 'array', items: { type: spec.of }, minItems: spec.minItems, maxItems: spec.maxItems }
    case 'secret':
    case 'target':
    case 'credential':
      return { type: 'string', format: 'uuid', 'x-opsconductor-type': spec.type }
    case 'file':
      return { type: 'string', pattern: '^[0-9a-f]{64}$', 'x-opsconductor-type': 'file' }
  }
}

/** The whole value must match; JSON Schema by itself is content with a part. */
const whole = (pattern: string | undefined) => (pattern === undefined ? undefined : `^(?:${pattern})$`)

const defined = (schema: JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(schema).filter(([, value]) => value !== undefined))
