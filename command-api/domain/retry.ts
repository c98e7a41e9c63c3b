import { DateTime } from 'luxon'
import type { FailureClass } from '../../schemas/failure.ts'
import type { RetryPolicy } from '../../schemas/steps/base.ts'
import type { StepRule } from '../../schemas/target-run.ts'
import { spread } from './spread.ts'

const DELAY_SECONDS = 5
const MAX_DELAY_SECONDS = 300
const JITTER = 0.2

/** Worth another attempt when the author does not say: nothing took effect, or the command said no. */
const usual: ReadonlySet<FailureClass> = new Set<FailureClass>([
  'dns',
  'unreachable',
  'refused',
  'channel-refused',
  'lost-before-start',
  'exit-nonzero',
  'unexpected-answer',
])

export type Failed = { runId: string; n: number; stepId: string; attempt: number; class: FailureClass }

/** When the next attempt may begin, an instant; undefined when there is none. */
export function retryAt(rule: StepRule | undefined, failed: Failed, at: string): string | undefined {
  const policy = rule?.retry
  if (!policy || failed.attempt >= policy.attempts) return undefined
  const worth = policy.on ? policy.on.includes(failed.class) : usual.has(failed.class)
  if (!worth) return undefined
  return (
    DateTime.fromISO(at, { zone: 'utc' })
      .plus({ seconds: delay(policy, failed) })
      .toISO() ?? at
  )
}

function delay({ delaySeconds = DELAY_SECONDS, maxDelaySeconds = MAX_DELAY_SECONDS }: RetryPolicy, of: Failed): number {
  const grown = Math.min(delaySeconds * 2 ** (of.attempt - 1), maxDelaySeconds)
  const shift = (spread(`${of.runId}.${of.n}.${of.stepId}.${of.attempt}`) * 2 - 1) * JITTER
  return Math.round(grown * (1 + shift) * 1000) / 1000
}
