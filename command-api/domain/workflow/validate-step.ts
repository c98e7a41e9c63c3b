import type { Step } from '../../../schemas/steps/index.ts'
import type { Complaint } from './parameters.ts'
import { patternProblem } from './pattern.ts'
import { isGate } from './units.ts'

type Place = { path: string; jobId?: string | undefined; isHandler: boolean }

/** What is wrong with a step by itself, apart from its expressions. */
export function stepProblems(step: Step, { path, jobId, isHandler }: Place): Complaint[] {
  const at = (field: string, message: string): Complaint => ({ path: `${path}.${field}`, message })
  return [
    ...(isGate(step) ? gateProblems(step, isHandler, at) : []),
    ...(step.uses === 'job.run' && step.with.jobId === jobId
      ? [at('with.jobId', 'the job would run itself, and that run itself again, without end')]
      : []),
    ...(isHandler && 'undo' in step && step.undo ? [at('undo', 'what is done after a failure is not undone')] : []),
    ...(step.uses === 'wait.time' && step.retry
      ? [at('retry', 'waiting does not fail: there is nothing to retry')]
      : []),
    ...retryProblems(step, at),
    ...outputProblems(step, at),
  ]
}

type At = (field: string, message: string) => Complaint

/** What only makes sense for something done on a target. */
const onTargets = ['on', 'forEach', 'retry', 'check', 'outputs', 'silenceSeconds'] as const

function gateProblems(step: Step, isHandler: boolean, at: At): Complaint[] {
  if (isHandler) return [at('uses', `${step.uses} is done once for the run: it cannot be part of onFailure`)]
  return onTargets
    .filter(field => step[field] !== undefined)
    .map(field => at(field, `${step.uses} is done once for the run: it cannot have ${field}`))
}

function retryProblems({ retry }: Step, at: At): Complaint[] {
  const { delaySeconds, maxDelaySeconds } = retry ?? {}
  if (delaySeconds === undefined || maxDelaySeconds === undefined || delaySeconds <= maxDelaySeconds) return []
  return [at('retry.maxDelaySeconds', 'is shorter than delaySeconds')]
}

/** Standard output may be a mebibyte long. */
const LARGEST_FOR_OUTPUT = 200

const speaking = new Set<Step['uses']>(['ssh.command', 'ssh.script', 'http.request'])

function outputProblems(step: Step, at: At): Complaint[] {
  const outputs = Object.entries(step.outputs ?? {})
  if (outputs.length > 0 && !speaking.has(step.uses) && !isGate(step))
    return [at('outputs', `${step.uses} prints nothing that outputs could be taken from`)]
  return outputs.flatMap(([name, spec]) => {
    const problem = spec.as === 'regex' ? patternProblem(spec.pattern, LARGEST_FOR_OUTPUT) : undefined
    return problem === undefined ? [] : [at(`outputs.${name}.pattern`, problem)]
  })
}
