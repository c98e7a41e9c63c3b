import { closeSync, constants, existsSync, fsyncSync, openSync, readSync, realpathSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { StoreInUse } from './errors.ts'
import { processIdentity } from './process-identity.ts'

/** Names the process that has the data folder; its presence says that the folder has held a store. */
const OWNER_FILE = 'owner'

// The file keeps its size, so taking the lock over needs no new room on a full disk.
const OWNER_FILE_BYTES = 512
const openHere = new Set<string>()

/** Has the folder ever been opened by a node? */
export const hasOwnerFile = (dataDir: string) => existsSync(join(dataDir, OWNER_FILE))

/** Process that has the folder, when it is running. */
export function ownerPid(dataDir: string): number | undefined {
  const owner = readOwner(join(dataDir, OWNER_FILE))
  return owner !== '' && isAlive(owner) ? Number(owner.split(' ')[0]) : undefined
}

/** Throws StoreInUse when a live process has the folder. Only `lockFolder` is safe against a race. */
export function refuseIfInUse(dataDir: string): void {
  const owner = readOwner(join(dataDir, OWNER_FILE))
  const isOurs = owner === processIdentity(process.pid) && !openHere.has(realpathSync(dataDir))
  if (owner !== '' && !isOurs && isAlive(owner)) {
    throw new StoreInUse(`the event store in ${dataDir} is in use by process ${owner.split(' ')[0]}`)
  }
}

/**
 * Takes the data folder for this process; answers how to give it back. `exclusively` runs a function while no other
 * process is in one, and survives a process that is killed inside. The lock of a killed process is taken over, because
 * the process it names is no longer running. Throws StoreInUse.
 */
export function lockFolder(dataDir: string, exclusively: (critical: () => void) => void): () => void {
  const folder = realpathSync(dataDir)
  const path = join(folder, OWNER_FILE)
  const self = processIdentity(process.pid) ?? `${process.pid}`
  exclusively(() => {
    refuseIfInUse(folder)
    writeOwner(path, self)
    openHere.add(folder)
  })
  return () => {
    openHere.delete(folder)
    // A folder that was removed meanwhile has no lock to give back.
    if (existsSync(path)) writeOwner(path, '')
  }
}

function isAlive(owner: string): boolean {
  return processIdentity(Number(owner.split(' ')[0])) === owner
}

function readOwner(path: string): string {
  if (!existsSync(path)) return ''
  const fd = openSync(path, 'r')
  const bytes = Buffer.alloc(OWNER_FILE_BYTES)
  const length = readSync(fd, bytes)
  closeSync(fd)
  return bytes.toString('utf8', 0, length).trim()
}

function writeOwner(path: string, owner: string): void {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  writeSync(fd, owner.padEnd(OWNER_FILE_BYTES - 1).concat('\n'), 0)
  fsyncSync(fd)
  closeSync(fd)
}
