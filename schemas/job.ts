import { z } from 'zod'
import { id, line, type MessageOf, name, reason, sha256 } from './kernel.ts'
import { labelExpression } from './label-expression.ts'

export const stepId = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'lower-case letters, digits and -')

const stepBase = {
  id: stepId,
  name: name.optional(),
  /** Seconds from the first byte sent to the last byte received; the remote process group is killed after it. */
  timeoutSeconds: z.int().min(1).max(86_400).default(3600),
  continueOnError: z.boolean().default(false),
  /** The author's word that running it twice does no harm: only then may an unknown outcome be tried again. */
  idempotent: z.boolean().default(false),
}
const command = z
  .string()
  .min(1)
  .max(32_768)
  .refine(c => !c.includes('\0'), 'no NUL character')
export const stepSchema = z.discriminatedUnion('uses', [
  z.strictObject({ ...stepBase, uses: z.literal('ssh.command'), with: z.strictObject({ command }) }),
  z.strictObject({
    ...stepBase,
    uses: z.literal('ssh.script'),
    with: z.strictObject({
      script: z
        .string()
        .min(1)
        .max(262_144)
        .refine(s => !s.includes('\0'), 'no NUL character'),
      interpreter: z
        .string()
        .max(200)
        .regex(/^\/[A-Za-z0-9._/-]+$/, 'an absolute path')
        .default('/bin/sh'),
      arguments: z
        .array(
          z
            .string()
            .max(4096)
            .refine(a => !a.includes('\0'), 'no NUL character'),
        )
        .max(100)
        .default([]),
    }),
  }),
])
export type Step = z.output<typeof stepSchema>

/** By id, by label expression, or both (the union of the two). Decommissioned targets never match. */
export const selection = z
  .strictObject({
    targetIds: z.array(id).min(1).max(10_000).optional(),
    labels: labelExpression.optional(),
  })
  .refine(s => s.targetIds !== undefined || s.labels !== undefined, 'name targetIds, labels or both')
export type Selection = z.output<typeof selection>

const definition = {
  steps: z
    .array(stepSchema)
    .min(1)
    .max(100)
    .refine(steps => new Set(steps.map(s => s.id)).size === steps.length, 'step ids must differ'),
  selection: selection.optional(),
  credentialId: id.optional(),
  maxParallel: z.int().min(1).max(10_000).optional(),
}
const version = z.int().min(1)

export const jobCommands = {
  'define-job': z.strictObject({ jobId: id.optional(), name, description: line(2000).optional(), ...definition }),
  'publish-job-version': z.strictObject({ jobId: id, ...definition, reason: reason.optional() }),
  'enable-job': z.strictObject({ jobId: id }),
  'disable-job': z.strictObject({ jobId: id, reason }),
  'archive-job': z.strictObject({ jobId: id, reason }),
}

export const jobEvents = {
  JobDefined: z.object({ jobId: id, name, description: line(2000).optional() }),
  JobVersionPublished: z.object({ jobId: id, version, ...definition, digest: sha256, reason: reason.optional() }),
  JobEnabled: z.object({ jobId: id }),
  JobDisabled: z.object({ jobId: id, reason }),
  JobArchived: z.object({ jobId: id, reason }),
}

export const jobRow = z.object({
  jobId: id,
  name: line(120),
  description: z.string().nullable(),
  status: z.enum(['enabled', 'disabled', 'archived']),
  latestVersion: version,
  steps: z.array(stepSchema),
  selection: selection.nullable(),
  credentialId: id.nullable(),
  maxParallel: z.int().nullable(),
  digest: sha256,
})

export type JobCommand = MessageOf<typeof jobCommands>
export type JobEvent = MessageOf<typeof jobEvents>
export type JobRow = z.output<typeof jobRow>
export type JobVersion = Omit<Extract<JobEvent, { type: 'JobVersionPublished' }>['data'], 'reason'>
