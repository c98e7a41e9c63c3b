import { type Effect, emit, type Fact, type Kind, plainFact } from '../facts.ts'
import { judgePath } from './paths.ts'
import type { Call } from './walk-types.ts'

type Flags = { recursive?: boolean; force?: boolean }

/** One fact about a command, with all there is to know about its surroundings. */
export function emitFact({ verb, args, walk, applied }: Call, partial: Partial<Fact>): void {
  const { pipesInto, session, scope } = walk
  emit(session, { ...plainFact(verb, args, scope), redirects: applied.written, pipesInto, ...partial })
}

/** The command does `effect` to these paths, as they are written in its words. */
export function reportPaths(
  call: Call,
  effect: Effect,
  written: readonly string[],
  { recursive = false, force = false }: Flags = {},
): void {
  const judged = written.map(path => judgePath(path, call.walk.state.cwd))
  const kinds = new Set<Kind>(judged.flatMap(({ kinds }) => kinds))
  emitFact(call, { effect, targets: judged.map(({ path }) => path), kinds: [...kinds], recursive, force })
}
