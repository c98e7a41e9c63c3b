import { z } from 'zod'
import { approvalTerms } from '../approval.ts'
import { plainValue, template } from '../expression.ts'
import { id } from '../kernel.ts'

/** Once for the whole run: nothing that needs it begins before enough people said yes. */
export const approval = {
  uses: z.literal('approval'),
  with: z.strictObject(approvalTerms),
}

/** Once for the whole run: triggers a run of another job and goes the way it goes. */
export const jobRun = {
  uses: z.literal('job.run'),
  with: z.strictObject({
    jobId: id,
    version: z.int().min(1).optional(),
    parameters: z.record(z.string().max(40), z.union([template(8_192), plainValue])).optional(),
    /** On the targets of this run instead of those the other job selects. */
    sameTargets: z.boolean().default(false),
  }),
}

/** Does nothing, on an executor, without connecting. */
export const noop = { uses: z.literal('noop'), with: z.strictObject({}).default({}) }
