import { z } from 'zod'
import { identifier, plainValue } from './expression.ts'
import { line } from './kernel.ts'

const common = {
  label: line(120).optional(),
  help: line(1000).optional(),
  required: z.boolean().optional(),
}
const text = z.string().max(8_192)
const bounds = { minimum: z.number().optional(), maximum: z.number().optional() }

/**
 * What a run may be told. A `secret` is the id of a credential whose secret goes to the target by standard input and
 * never into a command line; `target` and `credential` are ids; `file` is the SHA-256 of a stored artifact.
 */
export const parameterSpec = z.discriminatedUnion('type', [
  z.strictObject({
    ...common,
    type: z.literal('string'),
    default: text.optional(),
    /** A regular expression (RE2 syntax) the whole value must match. */
    pattern: z.string().min(1).max(500).optional(),
    minLength: z.int().min(0).max(8_192).optional(),
    maxLength: z.int().min(0).max(8_192).optional(),
  }),
  z.strictObject({ ...common, type: z.literal('integer'), default: z.int().optional(), ...bounds }),
  z.strictObject({ ...common, type: z.literal('number'), default: z.number().optional(), ...bounds }),
  z.strictObject({ ...common, type: z.literal('boolean'), default: z.boolean().optional() }),
  z.strictObject({
    ...common,
    type: z.literal('enum'),
    values: z.array(line(500)).min(1).max(200),
    default: line(500).optional(),
  }),
  z.strictObject({
    ...common,
    type: z.literal('list'),
    of: z.enum(['string', 'integer', 'number', 'boolean']),
    default: z.array(plainValue).max(1_000).optional(),
    minItems: z.int().min(0).max(1_000).optional(),
    maxItems: z.int().min(1).max(1_000).optional(),
  }),
  z.strictObject({ ...common, type: z.literal('secret') }),
  z.strictObject({ ...common, type: z.literal('target') }),
  z.strictObject({ ...common, type: z.literal('credential') }),
  z.strictObject({ ...common, type: z.literal('file') }),
])
export type ParameterSpec = z.output<typeof parameterSpec>

export const parameterSpecs = z
  .record(identifier, parameterSpec)
  .refine(specs => Object.keys(specs).length <= 100, 'at most 100 parameters')
export type ParameterSpecs = z.output<typeof parameterSpecs>

/** Values as they are recorded: of a secret only the id of the credential that holds it. */
export const parameterValues = z.record(identifier, z.union([plainValue, z.array(plainValue).max(1_000)]))
export type ParameterValues = z.output<typeof parameterValues>
