import type { CredentialKind } from '../../schemas/credential.ts'
import { streams } from '../../schemas/events.ts'
import type { Commands } from '../commands.ts'
import type { RunRequest } from '../runs/active-run.ts'
import { credentialOf, denied, isImpossible } from './work.ts'

/** A credential of one of these kinds, as it may be used now. Throws EventStoreUnavailable. */
export type Credentials = (id: string, kinds: ReadonlySet<CredentialKind>) => ReturnType<typeof used>

/** Those of a run: only what there still is, and what whoever asked for the run may still use. */
export const credentialsFor =
  (commands: Pick<Commands, 'known' | 'lacks'>, request: RunRequest, now: string): Credentials =>
  (id, kinds) =>
    used(commands, request, { id, kinds, now })

async function used(
  commands: Pick<Commands, 'known' | 'lacks'>,
  request: RunRequest,
  { id, kinds, now }: { id: string; kinds: ReadonlySet<CredentialKind>; now: string },
) {
  const known = await commands.known('credential', streams.credential(id))
  const found = credentialOf(known, id, { actor: request.initiator, kinds, now })
  if (isImpossible(found)) return found
  const why = await commands.lacks(request, { permission: 'credential:use', resource: { kind: 'credential', id } })
  return why === undefined ? found : denied(why)
}
