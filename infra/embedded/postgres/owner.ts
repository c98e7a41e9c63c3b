import { chownSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'

/** The account the server runs under; undefined means our own. */
export type Owner = { uid: number; gid: number } | undefined

const UNPRIVILEGED = { uid: 65_534, gid: 65_534 }

/** Postgres refuses to run as root, so root hands it to `nobody`; anybody else runs it as themselves. */
export function serverOwner(): Owner {
  return process.getuid?.() === 0 ? nobody() : undefined
}

function nobody(): { uid: number; gid: number } {
  try {
    const entry = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))
    return entry ? { uid: Number(entry[1]), gid: Number(entry[2]) } : UNPRIVILEGED
  } catch {
    return UNPRIVILEGED
  }
}

/** True when `owner` may pass through every folder above `target` and enter it. Access lists are not looked at. */
export function reachable(target: string, owner: Owner): boolean {
  if (!owner) return true
  let folder = realpathSync(target)
  for (;;) {
    if (!mayEnter(folder, owner)) return false
    if (folder === path.dirname(folder)) return true
    folder = path.dirname(folder)
  }
}

function mayEnter(folder: string, { uid, gid }: { uid: number; gid: number }): boolean {
  const { mode, uid: ownerUid, gid: ownerGid } = statSync(folder)
  const shift = ownerUid === uid ? 6 : ownerGid === gid ? 3 : 0
  return ((mode >> shift) & 1) === 1
}

/** Makes a folder that only `owner` may enter. */
export function privateFolder(folder: string, owner: Owner): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (owner) chownSync(folder, owner.uid, owner.gid)
}
