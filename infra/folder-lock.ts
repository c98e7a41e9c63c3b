import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** Thrown when another live process holds the folder. */
export class FolderInUse extends Error {
  override name = 'FolderInUse'
  readonly pid: number
  constructor(file: string, pid: number) {
    super(`in use by process ${pid} (${file})`)
    this.pid = pid
  }
}

/**
 * Takes a lock file for this process and returns how to give it back. A lock whose process is gone, or whose pid now
 * belongs to a younger process, is taken over. Throws `FolderInUse`.
 */
export function lockFile(file: string): () => void {
  const mine = `${file}.${process.pid}`
  const identity = `${process.pid} ${startedAt(process.pid)}\n`
  writeFileSync(mine, identity, { mode: 0o600 })
  try {
    while (!linked(mine, file)) removeStale(file)
  } finally {
    rmSync(mine, { force: true })
  }
  return () => {
    if (content(file) === identity) rmSync(file, { force: true })
  }
}

// link() fails when the name exists: of two starters exactly one gets it, and it is never seen half written.
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function removeStale(file: string): void {
  const held = content(file)
  if (held === undefined) return
  const [pid, started] = held.split(/\s+/)
  if (Number(pid) > 0 && startedAt(Number(pid)) === started) throw new FolderInUse(file, Number(pid))
  const aside = `${file}.stale.${process.pid}`
  renameSync(file, aside)
  // Somebody may have taken the lock between our look and the rename: give theirs back.
  if (content(aside) !== held) linked(aside, file)
  rmSync(aside, { force: true })
}

function content(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** A value that differs for two lives of the same pid; `gone` when the process does not exist. */
function startedAt(pid: number): string {
  if (process.platform === 'linux') {
    const stat = content(`/proc/${pid}/stat`)
    // proc(5): the 22nd field, counted after the command name, which may hold spaces and parentheses
    return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'gone'
  }
  try {
    process.kill(pid, 0)
    return 'alive'
  } catch {
    return 'gone'
  }
}
