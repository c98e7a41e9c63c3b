import { setTimeout as delay } from 'node:timers/promises'

/** Resolves when the condition holds; rejects after `patienceMs`, naming what was waited for. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, patienceMs = 20_000): Promise<void> {
  const deadline = Date.now() + patienceMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain until ${what}`)
    await delay(20)
  }
}

/** Whether we are root and can act as somebody else, as specs of that case must. */
export const isRoot = process.getuid?.() === 0

/** A command as run by an ordinary user: by `nobody` when we are root, else by ourselves. */
export function asOrdinaryUser(command: string[]): [string, ...string[]] {
  const [program = '', ...args] = command
  if (!isRoot) return [program, ...args]
  return ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', program, ...args]
}
