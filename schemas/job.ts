import { z } from 'zod'
import { approvalTerms } from './approval.ts'
import { id, line, type MessageOf, name, reason, sha256, tagKey } from './kernel.ts'
import { labelExpression } from './label-expression.ts'
import { parameterSpecs } from './parameters.ts'
import { type Step, stepSchema } from './steps/index.ts'

/** By id, by label expression, or both (the union of the two). Decommissioned targets never match. */
export const selection = z
  .strictObject({
    targetIds: z.array(id).min(1).max(10_000).optional(),
    labels: labelExpression.optional(),
  })
  .refine(s => s.targetIds !== undefined || s.labels !== undefined, 'name targetIds, labels or both')
export type Selection = z.output<typeof selection>

/** So many targets, or so many hundredths of them, rounded up. */
const amount = z.union([z.int().min(1).max(10_000), z.string().regex(/^(?:[1-9]\d?|100)%$/, 'such as 25%')])
export type Amount = z.output<typeof amount>

/** How a run goes over its targets. */
export const strategySchema = z.strictObject({
  /** `free`: each target at its own pace; `linear`: no target begins a step before all are over with the one before. */
  pace: z.enum(['free', 'linear']).optional(),
  /** One batch after the other; the last size is used again until every target had its turn. `[1, "10%", "50%"]`. */
  batches: z.array(amount).min(1).max(20).optional(),
  /** Once more target runs than this have failed, nothing new begins. Counted over the whole run. */
  maxFailures: z.union([z.int().min(0).max(10_000), z.string().regex(/^(?:\d{1,2}|100)%$/, 'such as 10%')]).optional(),
  /** Targets with the same value of this tag are worked on one after another. */
  serialBy: tagKey.optional(),
  order: z.enum(['as-selected', 'reversed', 'shuffled']).optional(),
})
export type Strategy = z.output<typeof strategySchema>

export const poolName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'lower-case letters, digits and -')

/** What becomes of a run that is triggered while another of the same job has not ended. */
export const overlap = z.enum(['allow', 'queue', 'skip', 'cancel-previous'])
/** 0 goes first, 9 last; 5 when absent. Runs of the same priority take turns. */
export const priority = z.int().min(0).max(9)
/** `exclusive`, the default: no other run works on the target meanwhile. */
export const access = z.enum(['exclusive', 'shared'])

const uniqueIds = (steps: readonly Step[]) => new Set(steps.map(step => step.id)).size === steps.length

const definition = {
  steps: z.array(stepSchema).min(1).max(100).refine(uniqueIds, 'step ids must differ'),
  /** Done on a target whose run failed, after what had succeeded was undone. */
  onFailure: z.array(stepSchema).min(1).max(20).refine(uniqueIds, 'step ids must differ').optional(),
  parameters: parameterSpecs.optional(),
  selection: selection.optional(),
  credentialId: id.optional(),
  maxParallel: z.int().min(1).max(10_000).optional(),
  strategy: strategySchema.optional(),
  overlap: overlap.optional(),
  priority: priority.optional(),
  /** Executors of this pool do the work; `default` when absent. */
  pool: poolName.optional(),
  /** Only executors whose labels match do the work. */
  executors: labelExpression.optional(),
  access: access.optional(),
  /** Asked before anything of a run begins. */
  approval: z.strictObject(approvalTerms).optional(),
  timeouts: z
    .strictObject({
      connectSeconds: z.int().min(1).max(600).optional(),
      targetRunSeconds: z.int().min(1).max(604_800).optional(),
      runSeconds: z.int().min(1).max(2_592_000).optional(),
    })
    .optional(),
}
/** The fields that make up a definition: two versions that agree in all of them are the same. */
export const definitionFields = Object.keys(definition) as ReadonlyArray<keyof typeof definition>
const definitionSchema = z.object(definition)
/** What a job does and how: all of a version but its number. */
export type Definition = z.output<typeof definitionSchema>
/** The definition alone of what has more to it; fields that are not given are left out. */
export function definitionIn(data: Definition): Definition {
  const given = definitionFields.filter(field => data[field] !== undefined).map(field => [field, data[field]])
  // Exactly the fields of a definition were picked, `steps` among them.
  return Object.fromEntries(given) as Definition
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

/** A definition as read models have it: null where it says nothing. */
export const definitionRow = z.object({
  steps: z.array(stepSchema),
  onFailure: z.array(stepSchema).nullable(),
  parameters: parameterSpecs.nullable(),
  selection: selection.nullable(),
  credentialId: id.nullable(),
  maxParallel: z.int().nullable(),
  strategy: strategySchema.nullable(),
  overlap: definition.overlap.unwrap().nullable(),
  priority: definition.priority.unwrap().nullable(),
  pool: poolName.nullable(),
  executors: labelExpression.nullable(),
  access: definition.access.unwrap().nullable(),
  approval: definition.approval.unwrap().nullable(),
  timeouts: definition.timeouts.unwrap().nullable(),
} satisfies Record<keyof typeof definition, z.ZodType>)
export type DefinitionRow = z.output<typeof definitionRow>

export const jobRow = z.object({
  jobId: id,
  name: line(120),
  description: z.string().nullable(),
  status: z.enum(['enabled', 'disabled', 'archived']),
  latestVersion: version,
  ...definitionRow.shape,
  digest: sha256,
})

export type JobCommand = MessageOf<typeof jobCommands>
export type JobEvent = MessageOf<typeof jobEvents>
export type JobRow = z.output<typeof jobRow>
export type JobVersion = Omit<Extract<JobEvent, { type: 'JobVersionPublished' }>['data'], 'reason'>
