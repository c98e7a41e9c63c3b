import { existsSync } from 'node:fs'
import { createKekFile, loadKekFile } from '../infra/kek-file.ts'
import type { Log } from '../infra/log.ts'
import { fileKekProvider, type KekProvider } from './kek.ts'
import { KekRefused } from './own-keys.ts'

/**
 * The keys of the configured file. At the very first start, while nothing is sealed, a missing file is made; later it
 * is lost, and a new one would open nothing. Throws KekRefused, KekFileError.
 */
export function openKek(
  config: { kekFile: string; dataDir: string },
  state: { secretsExist: boolean; now: string },
  log: Log,
): KekProvider {
  const { kekFile: path, dataDir } = config
  if (!existsSync(path)) {
    if (state.secretsExist) {
      throw new KekRefused(
        `there are sealed secrets, but no key-encryption key file at ${path}: restore it from its backup`,
      )
    }
    make(path, dataDir, state.now, log)
  }
  return fileKekProvider(loadKekFile(path, { dataDir }))
}

function make(path: string, dataDir: string, now: string, log: Log): void {
  try {
    const kekId = createKekFile(path, { dataDir, now })
    log.warn({ path, kekId }, 'made a new key-encryption key: back it up, and apart from the data it protects')
  } catch (err) {
    // Another vault that starts at the same moment made it.
    if (!existsSync(path)) throw err
  }
}
