import { mkdirSync } from 'node:fs'
import { DamagedStore } from './errors.ts'
import { lockFolder, refuseIfInUse } from './folder-lock.ts'
import { checkStructure, hasStore } from './structure.ts'
import { openTables, type Tables } from './tables.ts'

export type OpenStore = { tables: Tables; close(): Promise<void> }

/**
 * Opens the store in a folder for this process alone, or makes one. Throws StoreInUse when another process has it and
 * DamagedStore, before anything is mapped or written, when it is not whole.
 */
export function openStore(dataDir: string): OpenStore {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  refuseIfInUse(dataDir)
  refuseDamage(dataDir)
  const tables = openTables(dataDir, { readOnly: false })
  try {
    const unlock = lockFolder(dataDir, critical => tables.env.transactionSync(critical))
    return {
      tables,
      async close() {
        await tables.env.close()
        unlock()
      },
    }
  } catch (error) {
    void tables.env.close()
    throw error
  }
}

function refuseDamage(dataDir: string): void {
  try {
    if (hasStore(dataDir)) checkStructure(dataDir)
  } catch (error) {
    // A process that took the folder this very moment writes to what is being checked.
    refuseIfInUse(dataDir)
    if (!(error instanceof DamagedStore)) throw error
    throw new DamagedStore(`the event store in ${dataDir} is damaged: ${error.message}; restore it from a backup`)
  }
}
