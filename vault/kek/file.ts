import { statSync } from 'node:fs'
import { addKek, loadKekFile, removeKek } from '../../infra/kek-file.ts'
import { type KekProvider, UnknownKek, unknownKek } from '../kek.ts'
import { heldKeys } from './held.ts'

/** Keys of a file of its owner alone, read anew when it changes. Throws KekFileError. */
export function fileKekProvider(path: string, options: { dataDir: string }): KekProvider {
  // Looked at before the file is read: a change in between is seen again, never missed.
  let seen = mark(path)
  let held = heldKeys(loadKekFile(path, options))
  const refresh = () => {
    const now = mark(path)
    if (now === seen) return
    held = heldKeys(loadKekFile(path, options))
    seen = now
  }
  return {
    get active() {
      return held.active
    },
    ids: () => held.ids(),
    wrap: async (...given) => orAfter(refresh, () => held.wrap(...given)),
    unwrap: async (...given) => orAfter(refresh, () => held.unwrap(...given)),
    refresh: async () => refresh(),
    renew: async now => {
      const kekId = addKek(path, { ...options, now })
      refresh()
      return kekId
    },
    destroy: async kekId => {
      refresh()
      if (!held.ids().includes(kekId)) throw unknownKek(kekId)
      removeKek(path, kekId, options)
      refresh()
    },
    health: async () => ({ name: 'key-encryption key', ok: true, detail: held.active }),
  }
}

/** Another process may have made the key that this one does not know. */
function orAfter<T>(refresh: () => void, act: () => T): T {
  try {
    return act()
  } catch (err) {
    if (!(err instanceof UnknownKek)) throw err
    refresh()
    return act()
  }
}

/** Changes with every file that takes the place of the one before. */
function mark(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat ? `${stat.ino} ${stat.mtimeNs} ${stat.size}` : 'gone'
}
