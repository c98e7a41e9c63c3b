import { z } from 'zod'

/** Why a step or a target run failed. Everything before `lost-after-start` happened before the effect. */
export const failureClass = z.enum([
  'dns',
  'unreachable',
  'refused',
  'host-key-mismatch',
  'host-key-unknown',
  'auth-failed',
  'credential-unavailable',
  'channel-refused',
  'policy-denied',
  'invalid-template',
  'lost-before-start',
  'lost-after-start',
  'timed-out',
  'cancelled',
  'command-not-found',
  'exit-nonzero',
  'killed-by-signal',
  'output-not-found',
  'file-transfer',
  'unexpected-answer',
  'denied',
  'expired',
  'stopped',
  'internal',
])
export type FailureClass = z.output<typeof failureClass>
