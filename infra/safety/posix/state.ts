import type { CompoundCommand, CompoundList, Redirected } from 'unbash'
import { bounds } from '../bounds.ts'
import { mark } from '../text.ts'

/** What the shell would know at one point of the text. Every variable has the values it may have there. */
export type State = {
  vars: Map<string, string[]>
  arrays: Map<string, string[]>
  functions: Map<string, CompoundCommand | Redirected | CompoundList>
  aliases: Map<string, string>
  /** Bodies of the functions being walked, to see one that calls itself; a name may be given a new body meanwhile. */
  calling: readonly object[]
  cwd: string
  /** Files the text fetches from the network. */
  downloaded: Set<string>
}

const initial: [string, string[]][] = [
  ['HOME', [mark.home]],
  ['PWD', [mark.cwd]],
  ['TMPDIR', ['/tmp']],
  ['IFS', [' ']],
  ...['UID', 'EUID', 'PPID', 'RANDOM', 'SECONDS', 'LINENO', 'HOSTNAME', 'USER', 'LOGNAME', '$', '!', '#', '?'].map(
    (name): [string, string[]] => [name, [mark.some]],
  ),
]

export function createState(): State {
  const vars = new Map(initial)
  return {
    vars,
    arrays: new Map(),
    functions: new Map(),
    aliases: new Map(),
    calling: [],
    cwd: mark.cwd,
    downloaded: new Set(),
  }
}

/** What a subshell, a branch or a background command may change without the rest seeing it for sure. */
export function fork(state: State): State {
  return {
    ...state,
    vars: new Map(state.vars),
    arrays: new Map(state.arrays),
    functions: new Map(state.functions),
    aliases: new Map(state.aliases),
  }
}

/** After a branch that may or may not have run: every value either way is possible. */
export function join(into: State, branch: State): void {
  for (const [name, values] of branch.vars) {
    const before = into.vars.get(name)
    if (before !== values) into.vars.set(name, unite(before ?? [mark.unknown], values))
  }
  for (const [name, elements] of branch.arrays) {
    const before = into.arrays.get(name)
    if (before !== elements) into.arrays.set(name, before ? [...before, ...elements].slice(0, bounds.fields) : elements)
  }
  for (const [name, body] of branch.functions) into.functions.set(name, body)
  for (const [name, text] of branch.aliases) into.aliases.set(name, text)
  if (into.cwd !== branch.cwd) into.cwd = mark.unknown
}

export function unite(...lists: readonly (readonly string[])[]): string[] {
  const all = [...new Set(lists.flat())]
  return all.length <= bounds.alternatives ? all : [...all.slice(0, bounds.alternatives - 1), mark.unknown]
}
