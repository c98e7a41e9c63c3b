import { type CredentialKind, readableKinds, tlsKinds } from '../../schemas/credential.ts'
import type { RenderedStep } from '../../schemas/steps/index.ts'
import type { StepSecret } from '../../schemas/target-run.ts'
import type { Credentials } from './credentials.ts'
import { type Impossible, isImpossible } from './work.ts'

export type Secrets = {
  secrets: StepSecret[]
  /** The first step whose secret is not to be had: neither it nor what follows can be done in this claim. */
  missing?: { stepId: string; why: Impossible }
}

/** Which versions of which credentials these steps read or show, as of now. Throws EventStoreUnavailable. */
export async function secretsOf(credentials: Credentials, due: readonly RenderedStep[]): Promise<Secrets> {
  const secrets: StepSecret[] = []
  for (const step of due) {
    const wanted = wantedBy(step)
    if (!wanted) continue
    const { id: stepId } = step
    const { credentialId, kinds } = wanted
    const found = await credentials(credentialId, kinds)
    if (isImpossible(found)) return { secrets, missing: { stepId, why: found } }
    secrets.push({ stepId, credentialId, version: found.version })
  }
  return { secrets }
}

function wantedBy({ stdinCredentialId, clientCertificateId }: RenderedStep) {
  const wanted = (credentialId: string, kinds: ReadonlySet<CredentialKind>) => ({ credentialId, kinds })
  if (stdinCredentialId !== undefined) return wanted(stdinCredentialId, readableKinds)
  return clientCertificateId === undefined ? undefined : wanted(clientCertificateId, tlsKinds)
}
