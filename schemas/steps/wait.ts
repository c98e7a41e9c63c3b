import { z } from 'zod'
import { template } from '../expression.ts'
import { instant } from '../kernel.ts'
import { commandText } from './base.ts'

/** Nothing is connected to meanwhile; it holds up each target by itself. */
export const waitTime = {
  uses: z.literal('wait.time'),
  with: z.union([z.strictObject({ seconds: z.number().min(0).max(2_592_000) }), z.strictObject({ until: instant })]),
}

/** Asks again and again until the answer is yes or the step's time is up. */
export const waitUntil = {
  uses: z.literal('wait.until'),
  with: z.strictObject({
    probe: z.discriminatedUnion('kind', [
      /** Yes: exit code 0. */
      z.strictObject({ kind: z.literal('command'), command: commandText }),
      /** Yes: the target accepts a connection. */
      z.strictObject({ kind: z.literal('tcp'), port: z.int().min(1).max(65_535) }),
      /** Yes: any 2xx, or this status. */
      z.strictObject({ kind: z.literal('http'), url: template(4_096), status: z.int().min(100).max(599).optional() }),
    ]),
    intervalSeconds: z.number().min(0.1).max(3_600).default(5),
  }),
}
