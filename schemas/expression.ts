import { z } from 'zod'

const EXPRESSION_MAX = 2_000
/** Names that expressions can spell without brackets. */
export const identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,39}$/, 'a letter or _, then letters, digits and _')

/** A CEL expression (https://cel.dev) over `params`, `target`, `run`, `steps`, `all` and, in a loop, `item`. */
export const expression = z.string().min(1).max(EXPRESSION_MAX)

/** A value that expressions yield and parameters hold; JSON, at most a list of plain values deep. */
const plain = z.union([z.string().max(8_192), z.number(), z.boolean()])
export const plainValue = plain
export type PlainValue = z.output<typeof plain>

/** What a step found out, as far as it was told to keep it: JSON of at most 8 KiB. */
export const outputValue = z.json()
export type OutputValue = z.output<typeof outputValue>

/** Text in which `${{ expression }}` stands for a value. It is data to whatever the text is for, never part of it. */
export const template = (max: number) =>
  z
    .string()
    .max(max)
    .refine(text => !text.includes('\0'), 'no NUL character')
