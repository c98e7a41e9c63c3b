import type { Kind } from '../../facts.ts'
import { concat, type Stream, somewhere } from '../../stream.ts'
import { mark } from '../../text.ts'
import { inside } from '../inside.ts'
import { judgePath } from '../paths.ts'
import { reportPaths } from '../report.ts'
import type { Call } from '../walk-types.ts'

const narrowing =
  /^-(i?name|i?path|i?wholename|i?regex|[amc]time|[amc]min|newer.*|size|user|group|uid|gid|perm|inum|empty|nouser|nogroup|lname|samefile|links|xtype)$/
const runs = /^-(exec|execdir|ok|okdir)$/
const everything = /^[\uE003*]+(\.[\uE003*]+)?$/

type Search = { roots: string[]; filtered: boolean; deletes: boolean; commands: string[][]; writes: string[] }

/** find: its own `-delete`, and commands it runs on what it finds. Answers the names it prints. */
export function find(call: Call): boolean | Stream {
  const search = read(call.args)
  const { roots, filtered, deletes, commands, writes } = search
  const found = roots.map(root => `${root.replace(/\/+$/, '')}/${filtered ? mark.some : mark.star}`)
  if (deletes) reportPaths(call, filtered ? 'delete-some' : 'delete', roots, { recursive: true })
  if (writes.length > 0) reportPaths(call, 'overwrite', writes)
  const outputs = commands.map(command => runFound(call, command, search, found))
  if (outputs.length > 0) return concat(outputs)
  if (deletes) return true
  return { ...somewhere, text: `${found.join('\n')}\n` }
}

function read(args: readonly string[]): Search {
  const start = args.findIndex(
    (arg, index) => /^[-(!]/.test(arg) && !/^-([HLPO]|D$)/.test(arg) && args[index - 1] !== '-D',
  )
  const roots = args.slice(0, start < 0 ? undefined : start).filter(arg => !arg.startsWith('-'))
  const expression = start < 0 ? [] : args.slice(start)
  const search: Search = {
    roots: roots.length > 0 ? roots : ['.'],
    filtered: false,
    deletes: false,
    commands: [],
    writes: [],
  }
  for (let at = 0; at < expression.length; at += 1) {
    const word = expression[at] ?? ''
    const value = expression[at + 1] ?? ''
    if (word === '-delete') search.deletes = true
    else if (/^-fprint/.test(word)) search.writes.push(value)
    else if (runs.test(word)) {
      const end = expression.findIndex(
        (part, index) => index > at && (part === ';' || (part === '+' && expression[index - 1] === '{}')),
      )
      search.commands.push(expression.slice(at + 1, end < 0 ? undefined : end))
      if (end > 0) at = end
    } else if (narrowing.test(word) && expression[at - 1] !== '!' && !everything.test(value)) search.filtered = true
  }
  return search
}

function runFound(call: Call, command: string[], { roots, filtered }: Search, found: string[]): Stream {
  const words = command.flatMap(word =>
    word.includes('{}') ? found.map(path => word.replaceAll('{}', () => path)) : [word],
  )
  const { walk } = call
  const before = walk.session.facts.length
  const output = walk.run.call(words, inside(walk, 'find'))
  if (filtered) narrow(call, before, roots)
  return output
}

// What is deleted among what was found is some of what is there, wherever that is.
function narrow({ walk }: Call, before: number, roots: readonly string[]): void {
  const where = [...new Set<Kind>(roots.flatMap(root => judgePath(root, walk.state.cwd).kinds))]
  for (const fact of walk.session.facts.slice(before)) {
    if (fact.effect !== 'delete' || !fact.targets.every(target => target.includes(mark.some))) continue
    fact.effect = 'delete-some'
    fact.kinds = where
  }
}
