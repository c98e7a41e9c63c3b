import type { OutputValue, PlainValue } from '../../../schemas/expression.ts'
import type { FailureClass } from '../../../schemas/failure.ts'
import type { ParameterSpecs, ParameterValues } from '../../../schemas/parameters.ts'
import type { Reference } from './references.ts'
import type { Unit } from './units.ts'
import { fromJson, type Value, type ValueMap } from './value.ts'

export type RunScope = {
  id: string
  jobId: string
  jobName: string
  jobVersion: number
  /** How many targets the run has. */
  targets: number
  /** Id of who or what triggered it. */
  initiator: string
}
export type TargetScope = {
  id: string
  name: string
  address: string
  port: number
  tags: Readonly<Record<string, string>>
}
/** What a step of a target run came to; `attempt` is 0 for one that never started. */
export type StepResult = {
  attempt: number
  outcome: 'succeeded' | 'failed' | 'skipped' | 'cancelled'
  exitCode?: number | undefined
  outputs?: Readonly<Record<string, OutputValue>> | undefined
}
/** Outputs of one step over the targets where it succeeded: a list for each name. */
export type OutputValues = Readonly<Record<string, readonly OutputValue[]>>
export type Failure = { class: FailureClass; detail: string; stepId: string }

export const runNames = (run: RunScope): ValueMap => ({
  ...run,
  jobVersion: BigInt(run.jobVersion),
  targets: BigInt(run.targets),
})
export const targetNames = (target: TargetScope): ValueMap => ({
  ...target,
  port: BigInt(target.port),
  tags: target.tags,
})

/** Parameters of type number stay doubles even when they are whole. */
export function parameterNames(specs: ParameterSpecs | undefined, values: ParameterValues): ValueMap {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      const spec = specs && Object.hasOwn(specs, name) ? specs[name] : undefined
      const double = spec?.type === 'number' || (spec?.type === 'list' && spec.of === 'number')
      return [name, double ? (value as PlainValue | PlainValue[]) : fromJson(value)]
    }),
  )
}

/** `steps["id"]` of what is over: of a loop, its rounds taken together, every output being a list. */
export function stepNames(rounds: readonly StepResult[], isLoop: boolean): Value {
  const results = rounds.map(({ outcome, exitCode, outputs = {} }) => ({
    outcome,
    ...(exitCode !== undefined && { exitCode: BigInt(exitCode) }),
    outputs: fromJson(outputs) as ValueMap,
  }))
  const [only] = results
  if (!isLoop) return only ?? {}
  const worst = (['failed', 'cancelled', 'succeeded', 'skipped'] as const).find(o => results.some(r => r.outcome === o))
  const codes = results.flatMap(r => ('exitCode' in r ? [r.exitCode] : []))
  const exitCode = codes.find(code => code !== 0n) ?? codes[0]
  const names = new Set(results.flatMap(r => Object.keys(r.outputs)))
  const outputs = [...names].map(name => [name, results.flatMap(r => r.outputs[name] ?? [])])
  return {
    outcome: worst ?? 'skipped',
    ...(exitCode !== undefined && { exitCode }),
    outputs: Object.fromEntries(outputs),
  }
}

/** The steps whose results, on this target or on all, expressions ask for. */
export function stepsAskedFor(references: readonly Reference[], root: 'steps' | 'all'): string[] {
  return references.flatMap(({ root: at, path: [step] }) => (at === root && step !== undefined ? [step] : []))
}

/** What a round of a loop sees beside the rest. */
export const roundNames = ({ item, round }: Unit): ValueMap =>
  round === undefined ? {} : { item: item ?? null, index: BigInt(round) }
