import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DamagedStore } from './errors.ts'
import { lockFolder, refuseIfInUse } from './folder-lock.ts'
import { checkRecords } from './records.ts'
import { State } from './state.ts'
import { checkStructure, hasStore } from './structure.ts'
import { DATA_FILE, openTables, type Tables } from './tables.ts'

export type OpenStore = { state: State; close(): Promise<void> }

/** Stores up to this size have every record checked at start; of larger ones the latest, and the rest when read. */
const RECORD_CHECK_BYTES = 16 * 2 ** 20

/**
 * Opens the store in a folder for this process alone, or makes one. Throws StoreInUse when another process has it and
 * DamagedStore when it is not whole; pages are checked before the file is mapped, records before anything is served.
 */
export async function openStore(dataDir: string): Promise<OpenStore> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  refuseIfInUse(dataDir)
  checking(dataDir, () => checkPages(dataDir))
  const tables = openTables(dataDir, { readOnly: false })
  let unlock = () => {}
  const close = async () => {
    await tables.env.close()
    unlock()
  }
  try {
    unlock = lockFolder(dataDir, critical => tables.env.transactionSync(critical))
    return { state: checking(dataDir, () => readState(tables)), close }
  } catch (error) {
    await close()
    throw error
  }
}

function checkPages(dataDir: string): void {
  try {
    if (hasStore(dataDir)) checkStructure(dataDir)
  } catch (error) {
    // A process that took the folder this very moment writes to what is being checked.
    refuseIfInUse(dataDir)
    throw error
  }
}

function readState(tables: Tables): State {
  if (statSync(join(tables.dataDir, DATA_FILE)).size <= RECORD_CHECK_BYTES) {
    const [problem] = checkRecords(tables).problems
    if (problem !== undefined) throw new DamagedStore(problem)
  }
  return new State(tables)
}

function checking<T>(dataDir: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof DamagedStore)) throw error
    throw new DamagedStore(`the event store in ${dataDir} is damaged: ${error.message}; restore it from a backup`)
  }
}
