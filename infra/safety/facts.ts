import { z } from 'zod'
import { type Budget, bounds } from './bounds.ts'
import { isDynamic, show } from './text.ts'

export const shells = ['posix', 'powershell', 'cmd'] as const
export type Shell = (typeof shells)[number]

/** What a command does, where its name alone does not say so. */
export const effects = [
  'delete',
  'delete-some',
  'overwrite',
  'append',
  'move',
  'permissions',
  'world-writable',
  'setuid',
  'owner',
  'format',
  'partition',
  'wipe',
  'remote-code',
  'hidden-code',
  'piped-code',
  'inline-code',
  'reverse-shell',
  'exfiltrate',
  'fork-bomb',
  'kill',
  'kill-all',
  'service-stop',
  'power',
  'log-wipe',
  'security-off',
  'account-delete',
  'drop-database',
  'drop-table',
  'delete-rows',
  'dynamic',
  'parse-error',
  'bound',
] as const
export type Effect = (typeof effects)[number]

/** What sort of thing a target is. */
export const kinds = [
  'root',
  'system-folder',
  'system-file',
  'critical-file',
  'guarded-file',
  'home',
  'user-home',
  'mount',
  'top-level',
  'data',
  'log',
  'all-logs',
  'credential',
  'disk',
  'kernel-control',
  'temporary',
  'temporary-root',
  'cwd',
  'unknown',
  'unknown-root',
  'lifeline-service',
  'security-service',
  'any-service',
  'service',
  'other',
] as const
export type Kind = (typeof kinds)[number]

/** One thing a command would do. `args` and `targets` may hold marks (see text.ts) until they are shown. */
export type Fact = {
  verb: string
  effect: Effect | null
  args: string[]
  targets: string[]
  kinds: Kind[]
  recursive: boolean
  force: boolean
  redirects: string[]
  pipesInto: string | null
  privileged: boolean
  via: string[]
  dynamic: boolean
  cwd: string
}

/** Where a command stands: what rules and meanings see of its surroundings. */
export type Scope = { cwd: string; privileged: boolean; via: string[]; depth: number }

/** A command in another shell's language found inside; judged after the text that holds it. */
export type Nested = { shell: Shell; text: string; scope: Scope }

/** One judging: what it may cost, what it found, what is still to be looked at. */
export type Session = { budget: Budget; facts: Fact[]; later: Nested[] }

export function emit({ facts, budget }: Session, fact: Fact): void {
  if (facts.length < bounds.facts) facts.push(fact)
  else budget.exceed('more commands than are looked at')
}

/** A fact about the text rather than about a command in it. */
export function note(session: Session, effect: Effect, what: string, scope: Scope): void {
  emit(session, { ...plainFact(what, [], scope), effect, dynamic: effect === 'dynamic' })
}

export function plainFact(verb: string, args: string[], scope: Scope): Fact {
  return {
    verb,
    effect: null,
    args,
    targets: [],
    kinds: [],
    recursive: false,
    force: false,
    redirects: [],
    pipesInto: null,
    privileged: scope.privileged,
    via: scope.via,
    dynamic: [verb, ...args].some(isDynamic),
    cwd: scope.cwd,
  }
}

export const shownFactSchema = z.strictObject({
  verb: z.string(),
  effect: z.enum(effects).nullable(),
  args: z.array(z.string()),
  targets: z.array(z.string()),
  kinds: z.array(z.enum(kinds)),
  recursive: z.boolean(),
  force: z.boolean(),
  redirects: z.array(z.string()),
  pipesInto: z.string().nullable(),
  privileged: z.boolean(),
  via: z.array(z.string()),
  dynamic: z.boolean(),
  cwd: z.string(),
})

const brief = (values: string[]) => values.slice(0, 24).map(value => show(value).slice(0, 200))

/** The fact as people and programs read it: marks spelled out, long lists and values cut. */
export function showFact(fact: Fact): Fact {
  return {
    ...fact,
    verb: show(fact.verb).slice(0, 200),
    args: brief(fact.args),
    targets: brief(fact.targets),
    redirects: brief(fact.redirects),
    via: fact.via.slice(0, 24),
    cwd: show(fact.cwd).slice(0, 200),
  }
}
