import { readableKinds } from '../../schemas/credential.ts'
import type { RenderedStep } from '../../schemas/steps/index.ts'
import type { StepSecret } from '../../schemas/target-run.ts'
import type { Credentials } from './credentials.ts'
import { type Impossible, isImpossible } from './work.ts'

export type Secrets = {
  secrets: StepSecret[]
  /** The first step whose secret is not to be had: neither it nor what follows can be done in this claim. */
  missing?: { stepId: string; why: Impossible }
}

/** Which versions of which credentials these steps read from standard input, as of now. Throws EventStoreUnavailable. */
export async function secretsOf(credentials: Credentials, due: readonly RenderedStep[]): Promise<Secrets> {
  const secrets: StepSecret[] = []
  for (const { id: stepId, stdinCredentialId: credentialId } of due) {
    if (credentialId === undefined) continue
    const found = await credentials(credentialId, readableKinds)
    if (isImpossible(found)) return { secrets, missing: { stepId, why: found } }
    secrets.push({ stepId, credentialId, version: found.version })
  }
  return { secrets }
}
