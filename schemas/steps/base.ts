import { z } from 'zod'
import { expression, identifier, plainValue, template } from '../expression.ts'
import { failureClass } from '../failure.ts'
import { name } from '../kernel.ts'
import { labelExpression } from '../label-expression.ts'

/** As an author names a step. */
export const stepId = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'lower-case letters, digits and -')
/**
 * As a target run names it: `install`, for the third round of a loop `install.2`, for what undoes it `install.undo`
 * or `install.2.undo`.
 */
export const stepRunId = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}(?:\.\d{1,3})?(?:\.undo)?$/, 'a step id, with .<round> and .undo where they apply')

export const commandText = template(32_768).refine(text => text.length > 0, 'not empty')

/** What is kept of a step's standard output. Standard output is looked at up to 1 MiB, a value kept up to 8 KiB. */
export const outputSpec = z.discriminatedUnion('as', [
  /** All of it, without line ends at its end. */
  z.strictObject({ as: z.literal('text') }),
  /** The whole of it parsed, or the part a JSON pointer (RFC 6901) leads to. */
  z.strictObject({
    as: z.literal('json'),
    pointer: z
      .string()
      .max(500)
      .regex(/^(?:\/.*)?$/)
      .optional(),
  }),
  /** The first group of the first match, or the whole match when there is no group. RE2 syntax: linear time. */
  z.strictObject({ as: z.literal('regex'), pattern: z.string().min(1).max(500) }),
])
export type OutputSpec = z.output<typeof outputSpec>

export const retryPolicy = z.strictObject({
  /** Attempts in all, the first one included. */
  attempts: z.int().min(2).max(10),
  delaySeconds: z.number().min(0).max(3_600).optional(),
  /** The delay doubles with every attempt up to this, plus or minus a fifth. */
  maxDelaySeconds: z.number().min(0).max(86_400).optional(),
  /** Failures worth another attempt; absent: those before anything took effect, and any exit code but 0. */
  on: z.array(failureClass).min(1).optional(),
})
export type RetryPolicy = z.output<typeof retryPolicy>

/** What every step has, whatever it uses. */
export const stepBase = {
  id: stepId,
  name: name.optional(),
  /** Steps that must be over before this one; absent: the one before it in the list. */
  needs: z.array(stepId).max(50).optional(),
  /** The step is left out where this is false; a step that was left out does not hold up others. */
  if: expression.optional(),
  /** Only on those targets of the run that match. */
  on: z.strictObject({ labels: labelExpression }).optional(),
  /** Once for every element, one after another: a list, or an expression over `params` that yields one. */
  forEach: z.union([expression, z.array(plainValue).min(1).max(100)]).optional(),
  retry: retryPolicy.optional(),
  /** Seconds from the first byte sent to the last byte received; the remote process group is killed after it. */
  timeoutSeconds: z.int().min(1).max(86_400).default(3600),
  /** Seconds without a byte of output after which the step is taken for stuck and stopped. */
  silenceSeconds: z.int().min(1).max(86_400).optional(),
  continueOnError: z.boolean().default(false),
  /** The author's word that running it twice does no harm: only then may an unknown outcome be tried again. */
  idempotent: z.boolean().default(false),
  /** Asked when nobody knows whether the step took effect: exit code 0 it did, 1 it did not, anything else unknown. */
  check: commandText.optional(),
  outputs: z
    .record(identifier, outputSpec)
    .refine(outputs => Object.keys(outputs).length <= 20, 'at most 20 outputs')
    .optional(),
}
