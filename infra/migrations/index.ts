import { runOutput } from './001-run-output.ts'
import { reactorCheckpoint } from './002-reactor-checkpoint.ts'
import { artifacts } from './003-artifacts.ts'
import { executorPresence } from './004-executor-presence.ts'

/** In the order they are applied. One that has shipped is never edited: add another. Read models are not made here. */
export const migrations: ReadonlyArray<{ name: string; sql: string }> = [
  runOutput,
  reactorCheckpoint,
  artifacts,
  executorPresence,
]
