import { judge } from './judge.ts'
import { installQuickSignatures } from './quick-signatures.ts'
import { World } from './world.ts'

export type Verdict = { seed: number; broken: string[]; events: number; effects: number }

installQuickSignatures()

/** One seed from its beginning to its end. Whatever is thrown and nobody catches counts as a broken promise. */
export async function simulate(seed: number): Promise<Verdict & { world: World }> {
  const world = new World(seed)
  const unhandled: string[] = []
  const onUnhandled = (error: unknown) =>
    void unhandled.push(`not caught: ${error instanceof Error ? error.stack : error}`)
  process.on('unhandledRejection', onUnhandled)
  // Errors are answers here, by the thousand: nobody reads where they were made.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    await world.live()
  } finally {
    process.off('unhandledRejection', onUnhandled)
    Error.stackTraceLimit = stackTraceLimit
  }
  const broken = [...unhandled, ...judge(world)]
  return { seed, broken, events: world.log.all.length, effects: world.effects.all.length, world }
}
