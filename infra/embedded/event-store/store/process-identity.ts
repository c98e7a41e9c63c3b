import { readFileSync, readlinkSync } from 'node:fs'

/**
 * What tells one process from every other on this machine, over reuse of process ids and over reboots. Undefined when no
 * such process is running. Without /proc only the id itself is known.
 */
export function processIdentity(pid: number): string | undefined {
  const bootId = readOr('/proc/sys/kernel/random/boot_id')
  if (bootId === undefined) return isRunning(pid) ? `${pid}` : undefined
  const stat = readOr(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The command name, which may hold anything, ends at the last parenthesis; then come state and, 19 on, the start time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const isZombie = fields[0] === 'Z' || fields[0] === 'X'
  return isZombie ? undefined : `${pid} ${fields[19]} ${bootId.trim()} ${pidNamespace()}`
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

function readOr(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
