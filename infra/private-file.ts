import {
  chownSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/**
 * Writes a file that only its owner may read (0600), durably and whole or not at all, unless it exists already.
 * Answers whether it was written; an existing file is left as it is.
 */
export function writeNewPrivateFile(file: string, content: string): boolean {
  const beside = `${file}.${process.pid}.new`
  // A leftover of a crash keeps its own mode, so it never is written into.
  rmSync(beside, { force: true })
  writeFileSync(beside, content, { mode: 0o600, flag: 'wx', flush: true })
  try {
    // A hard link fails when the name is taken, which a rename would silently replace.
    linkSync(beside, file)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw err
  } finally {
    rmSync(beside)
  }
  syncFolder(dirname(file))
  return true
}

/**
 * Puts a file that only its owner may read (0600) in the place of another, durably and whole or not at all. It stays its
 * owner's, also when root does it.
 */
export function replacePrivateFile(file: string, content: string): void {
  const beside = `${file}.${process.pid}.new`
  rmSync(beside, { force: true })
  writeFileSync(beside, content, { mode: 0o600, flag: 'wx', flush: true })
  const { uid, gid } = statSync(file)
  if (process.getuid?.() === 0) chownSync(beside, uid, gid)
  renameSync(beside, file)
  syncFolder(dirname(file))
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  fsyncSync(fd)
  closeSync(fd)
}
