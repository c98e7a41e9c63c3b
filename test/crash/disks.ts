import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { isRoot } from '../support/process.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

/** Reads until the test is over or dead, however it died. */
const UNMOUNT = 'cat >/dev/null; umount -l -- "$1"'

/** A file system of its own and of this size in memory; false where we may not make one. */
export function mountDisk(t: Teardown, folder: string, megabytes: number): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (!isRoot) return false
  const options = ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'tmpfs', folder]
  if (spawnSync('mount', options, { stdio: 'ignore' }).status !== 0) return false
  const guard = spawn('/bin/sh', ['-c', UNMOUNT, 'sh', folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  guard.unref()
  t.teardown(async () => {
    guard.ref()
    guard.stdin.end()
    if (guard.exitCode === null) await once(guard, 'exit')
  })
  return true
}

/** Takes every free byte. Answers how to give them back. */
export function fillDisk(folder: string): () => void {
  const file = path.join(folder, 'filler')
  const fd = openSync(file, 'w')
  for (let size = 1 << 20; size >= 1; size >>= 1) {
    const bytes = Buffer.alloc(size)
    try {
      // A full disk takes a part of what is written, or throws.
      while (writeSync(fd, bytes) === size);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
    }
  }
  closeSync(fd)
  return () => rmSync(file)
}
