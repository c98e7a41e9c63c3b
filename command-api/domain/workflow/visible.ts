import type { ParameterSpecs } from '../../../schemas/parameters.ts'
import type { Step } from '../../../schemas/steps/index.ts'

/** What expressions in one place may refer to. */
export type Visible = {
  params: ParameterSpecs
  /** Steps that are over by then. */
  steps: ReadonlyMap<string, Step>
  /** All there are, for telling a step that comes too late from one that does not exist. */
  everyStep: ReadonlySet<string>
  roots: ReadonlySet<Root>
  /** CEL type of the elements that the loop goes over. */
  item?: string | undefined
  /** Parameters that are sure to be there, since the step's `if` asks. */
  sure: ReadonlySet<string>
  /** Why other roots than those are not seen here. */
  because: string
}
export const roots = ['params', 'target', 'run', 'steps', 'all', 'item', 'index', 'failure'] as const
export type Root = (typeof roots)[number]

export const members = {
  run: { id: 'string', jobId: 'string', jobName: 'string', jobVersion: 'int', targets: 'int', initiator: 'string' },
  target: { id: 'string', name: 'string', address: 'string', port: 'int', tags: 'map<string, string>' },
  failure: { class: 'string', detail: 'string', stepId: 'string' },
} as const

/** Names and types of what a step leaves behind beside its outcome and exit code. */
export function outputTypes(step: Step): Record<string, string> {
  const declared = Object.entries(step.outputs ?? {}).map(([name, { as }]) => [name, as === 'json' ? 'dyn' : 'string'])
  return { ...ownOutputs[step.uses], ...Object.fromEntries(declared) }
}

/** What a kind of step leaves behind without being told to. */
const ownOutputs: Partial<Record<Step['uses'], Record<string, string>>> = {
  'file.get': { sha256: 'string', bytes: 'int' },
  'http.request': { status: 'int' },
}
