import type { Runner } from './runner.ts'

/** Does nothing, well. */
export const noop: Runner<unknown> = {
  connects: false,
  run: async () => ({ kind: 'succeeded', exitCode: 0 }),
}
