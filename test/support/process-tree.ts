import { readdirSync, readFileSync } from 'node:fs'

/** Pids of all processes below a process, nearest first, from /proc. */
export function descendants(pid: number): number[] {
  const table = parents()
  const found = [...(table.get(pid) ?? [])]
  for (const each of found) found.push(...(table.get(each) ?? []))
  return found
}

/** What the program a process runs is called; undefined when there is no such process. */
export const programName = (pid: number): string | undefined => statOf(pid)?.name

/** True while a process with this pid runs; one that has ended and only waits to be reaped does not. */
export function isAlive(pid: number): boolean {
  const state = statOf(pid)?.state
  return state !== undefined && state !== 'Z' && state !== 'X'
}

/** Pids of the processes that were started with exactly this `NAME=value` in their environment, as far as it may be read. */
export function withEnvironment(entry: string): number[] {
  const has = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(entry)
    } catch {
      // It has ended, or is somebody else's.
      return false
    }
  }
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && has(name))
    .map(Number)
}

function parents(): Map<number, number[]> {
  const table = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined
    if (stat) table.set(stat.parent, [...(table.get(stat.parent) ?? []), Number(name)])
  }
  return table
}

// proc(5): the name is in brackets and may itself hold blanks and brackets; state and parent follow the last one.
function statOf(pid: number): { name: string; state: string; parent: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state = '', parent = '0'] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { name: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')), state, parent: Number(parent) }
  } catch {
    return undefined
  }
}
