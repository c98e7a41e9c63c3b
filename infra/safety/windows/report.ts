import { type Effect, emit, type Fact, type Kind, plainFact, type Scope, type Session } from '../facts.ts'
import { judgeWindowsPath } from './paths.ts'

/** A command of cmd or PowerShell with its words. `cwd` is in the scope. */
export type WindowsCall = { verb: string; args: string[]; scope: Scope; session: Session; pipesInto: string | null }

export function emitWindows({ verb, args, scope, session, pipesInto }: WindowsCall, partial: Partial<Fact>): void {
  emit(session, { ...plainFact(verb, args, scope), pipesInto, ...partial })
}

/** The command does `effect` to these paths or registry keys. */
export function reportWindowsPaths(
  call: WindowsCall,
  effect: Effect,
  written: readonly string[],
  flags: { recursive?: boolean; force?: boolean } = {},
): void {
  const judged = written.map(path => judgeWindowsPath(path, call.scope.cwd))
  const kinds = [...new Set<Kind>(judged.flatMap(({ kinds }) => kinds))]
  emitWindows(call, {
    effect,
    targets: judged.map(({ path }) => path),
    kinds,
    recursive: flags.recursive ?? false,
    force: flags.force ?? false,
  })
}
