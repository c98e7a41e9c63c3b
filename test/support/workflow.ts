import type { Definition, JobVersion } from '../../schemas/job.ts'
import { parameterSpecs } from '../../schemas/parameters.ts'
import { stepSchema } from '../../schemas/steps/index.ts'

const jobId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
type Given = Omit<Partial<Definition>, 'steps' | 'onFailure'> & { steps: unknown[]; onFailure?: unknown[] }

/** A definition as it comes out of the command's schema: what a step leaves out is filled in. */
export function definitionOf({ steps, onFailure, parameters, ...rest }: Given): Definition {
  return {
    ...rest,
    steps: steps.map(step => stepSchema.parse(step)),
    ...(onFailure && { onFailure: onFailure.map(step => stepSchema.parse(step)) }),
    ...(parameters && { parameters: parameterSpecs.parse(parameters) }),
  }
}

export const versionOf = (given: Given): JobVersion => ({
  jobId,
  version: 1,
  digest: 'd'.repeat(64),
  ...definitionOf(given),
})

/** A step that runs a command, for specs that care about something else. */
export const command = (id: string, text = 'true', rest: object = {}) => ({
  id,
  uses: 'ssh.command',
  with: { command: text },
  ...rest,
})

/** What a step does, as it comes out of its schema. */
export const actionOf = (uses: string, details: object) => stepSchema.parse({ id: 'do', uses, with: details })
