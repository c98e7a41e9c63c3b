import type { Keks } from '../../infra/kek-file.ts'
import { KekFixed, type KekProvider } from '../kek.ts'
import { heldKeys } from './held.ts'

const fixed = () =>
  new KekFixed('the keys come from OPSCONDUCTOR_KEK_KEYS: put a new one first there and start the vault again')

/** Keys that were handed over at the start, the first of which wraps what is new. */
export function environmentKekProvider(keks: Keks): KekProvider {
  const held = heldKeys(keks)
  return {
    active: held.active,
    ids: held.ids,
    wrap: async (...given) => held.wrap(...given),
    unwrap: async (...given) => held.unwrap(...given),
    refresh: async () => undefined,
    renew: async () => {
      throw fixed()
    },
    destroy: async () => {
      throw fixed()
    },
    health: async () => ({ name: 'key-encryption key', ok: true, detail: held.active }),
  }
}
