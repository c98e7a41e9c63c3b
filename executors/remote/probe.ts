import type { StepEnd } from '../steps/runner.ts'
import type { TargetLink } from '../target-link.ts'
import { remoteCommand } from './command.ts'
import { runOnTarget } from './run.ts'

export type Probe = {
  command: string
  variables: Readonly<Record<string, string>>
  link: TargetLink
  signal: AbortSignal
  forMs: number
}

/** Runs a command of which only the exit code counts; one that takes too long is stopped like any other. */
export async function probe({ command, variables, link, signal, forMs }: Probe): Promise<StepEnd> {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), forMs)
  try {
    return await runOnTarget(token => remoteCommand({ command, variables, stdin: '', sudo: undefined }, token), {
      link,
      signal: AbortSignal.any([signal, limit.signal]),
      // What only asks does no harm, however late.
      mayBegin: () => Number.POSITIVE_INFINITY,
      begin: () => undefined,
      output: () => ({ push: () => undefined, isBacklogged: () => false, onRelief: () => undefined }),
    })
  } finally {
    clearTimeout(timer)
  }
}
