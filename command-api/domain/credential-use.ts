import { type CredentialKind, readableKinds, tlsKinds } from '../../schemas/credential.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { Action, Step } from '../../schemas/steps/index.ts'
import { DomainError } from './decider.ts'

/** What a credential is needed for, and which kinds can be that. */
export type Use = { kinds: ReadonlySet<CredentialKind>; as: string }

const onStdin: Use = { kinds: readableKinds, as: 'for a step to read' }
const asCertificate: Use = { kinds: tlsKinds, as: 'as a client certificate' }

/** How the steps of a job use the secret that a parameter names. What it is handed on to says so itself. */
export function usesOfSecret({ steps, onFailure = [] }: JobVersion, parameter: string): Use[] {
  const isMeant = (text: string | undefined) => /^\$\{\{\s*params\.(\w+)\s*\}\}$/.exec(text ?? '')?.[1] === parameter
  const usedIn = (action: Action | Step): Use[] => {
    if (action.uses === 'ssh.command') return isMeant(action.with.stdin) ? [onStdin] : []
    if (action.uses === 'http.request') return isMeant(action.with.clientCertificate) ? [asCertificate] : []
    return []
  }
  return [...steps, ...onFailure].flatMap(step => {
    const undo = 'undo' in step ? step.undo : undefined
    return [...usedIn(step), ...(undo ? usedIn(undo) : [])]
  })
}

/** @throws DomainError where its kind is known to be of no use for this. */
export function refuseUnfit(
  { id, what, kind }: { id: string; what: string; kind: CredentialKind | undefined },
  { kinds, as }: Use,
): void {
  if (kind !== undefined && !kinds.has(kind))
    throw new DomainError('credential-unfit', `the credential ${id}, ${what}, is of the kind ${kind}: no use ${as}`)
}
