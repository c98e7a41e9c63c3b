import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { Client } from './client.ts'
import { readEffects } from './effects.ts'
import type { StartedRun } from './load.ts'
import type { Random } from './random.ts'

type Options = {
  client: Client
  effectsFile: string
  runs: readonly StartedRun[]
  random: Random
  signal: AbortSignal
}

const waiting = z.object({
  items: z.array(z.object({ runId: z.string(), counts: z.object({ needsAttention: z.int() }) })),
})
// A target run that waits for a person holds its target, and others with it, long before all of its run waits.
const LIST = '/v1/runs?status=needs-attention,running,paused,cancelling&limit=100'
const attention = z.object({
  items: z.array(z.object({ n: z.int(), targetName: z.string().nullable(), stepId: z.string().nullable() })),
})

/**
 * Looks after what waits for a person until the signal aborts: sees on the target whether the step took effect, and
 * says so.
 */
export async function lookAfter({ client, effectsFile, runs, random, signal }: Options): Promise<void> {
  while (!signal.aborted) {
    await delay(500, undefined, { signal }).catch(() => {})
    const list = waiting.safeParse(await client.get(LIST))
    for (const { runId, counts } of list.data?.items ?? []) {
      if (counts.needsAttention === 0) continue
      const found = attention.safeParse(await client.get(`/v1/runs/${runId}/attention`))
      for (const { n, targetName, stepId } of found.data?.items ?? []) {
        const token = runs.find(run => run.runId === runId)?.token
        const happened = readEffects(effectsFile).some(
          effect => effect.token === token && effect.step === stepId && effect.address === targetName,
        )
        const as = random.pick(happened ? ['succeeded', 'failed'] : ['retry', 'failed'])
        const reason = happened ? 'seen on the target' : 'nothing of it on the target'
        await client.send('resolve-step', { runId, n, stepId, as, reason })
      }
    }
  }
}
