import { isOneOf, type Owner } from '../../schemas/actor.ts'
import type { Holder } from './holder.ts'

/** Whether somebody may see that there is this credential: of a personal one only its owner and whoever oversees it. */
export function maySeeCredential(
  holder: Pick<Holder, 'actor' | 'permitsOn'>,
  credentialId: string,
  owner: Owner | undefined,
): boolean {
  if (!owner || isOneOf(holder.actor, owner)) return true
  return holder.permitsOn('credential:oversee', { kind: 'credential', id: credentialId })
}
