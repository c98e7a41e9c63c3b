import type { RenderedStep } from '../schemas/steps/index.ts'
import { type Probe, probe } from './remote/probe.ts'
import type { StepEnd } from './steps/runner.ts'

export type Verdict = 'happened' | 'did-not-happen' | 'unclear'

const CHECK_MS = 60_000

/** What a check command says of a step that nobody knows of: its exit code counts, and nothing it prints. */
export async function askCheck(check: Omit<Probe, 'forMs'>): Promise<{ verdict: Verdict; detail: string }> {
  const end = await probe({ ...check, forMs: CHECK_MS })
  return { verdict: verdictOf(end), detail: end.kind === 'succeeded' ? 'exit code 0' : end.detail }
}

function verdictOf(end: StepEnd): Verdict {
  if (end.kind === 'succeeded') return 'happened'
  return end.kind === 'failed' && end.class === 'exit-nonzero' && end.exitCode === 1 ? 'did-not-happen' : 'unclear'
}

/** A check as what it is: a command like any other. */
export const checkStep = (of: { stepId: string; check: string; variables: Record<string, string> }): RenderedStep => ({
  ...{ id: of.stepId, action: { uses: 'ssh.command', with: { command: of.check } }, variables: of.variables },
  ...{ timeoutSeconds: CHECK_MS / 1_000, continueOnError: false },
})
