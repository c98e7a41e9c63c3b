import type { Assignment } from '../schemas/bus.ts'
import type { UsableSecret } from '../schemas/credential.ts'
import type { RenderedStep } from '../schemas/steps/index.ts'
import type { ExecutorContext } from './context.ts'
import { type MaskSet, maskSet } from './output/masker.ts'
import { secretMasks } from './output/secret-masks.ts'
import { SshFailure } from './ssh/failure.ts'

/** What a request shows to the other side, by TLS. */
export type ClientCertificate = Extract<UsableSecret, { kind: 'client-certificate' }>

/** What one attempt of one step is given: to read from standard input, or to show. */
export class StepSecret {
  readonly bytes: Buffer
  readonly certificate: ClientCertificate | undefined
  readonly #masks: MaskSet

  constructor(secret: UsableSecret) {
    this.bytes = Buffer.from(textOf(secret))
    this.certificate = secret.kind === 'client-certificate' ? secret : undefined
    this.#masks = secretMasks(secret)
  }

  /** What hides this secret beside those that are hidden anyway; a copy, for its owner to wipe. */
  masksWith(others: MaskSet | undefined): MaskSet {
    const patterns = [this.#masks, ...(others ? [others] : [])].flatMap(({ byFirstByte }) => byFirstByte.flat())
    return maskSet(patterns.flatMap(pattern => (pattern ? [Buffer.from(pattern)] : [])))
  }

  /** Nothing of it may be used afterwards. */
  wipe(): void {
    this.bytes.fill(0)
    this.#masks.wipe()
  }
}

/** What the step gets to read. */
function textOf(secret: UsableSecret): string {
  switch (secret.kind) {
    case 'password':
    case 'windows-password':
      return secret.password
    case 'ssh-key':
      return secret.privateKey
    case 'client-certificate':
      return `${secret.privateKey.trimEnd()}\n${secret.certificate}`
    case 'api-token':
      return secret.token
    case 'generic':
      return secret.value
    case 'ssh-certificate':
      throw new SshFailure('credential-unavailable', 'an SSH certificate is made for a login, not for a step to read')
  }
}

/** Whether there is anything to ask the vault for. */
export const takesSecret = ({ stdinCredentialId, clientCertificateId }: RenderedStep): boolean =>
  stdinCredentialId !== undefined || clientCertificateId !== undefined

/** Asks the vault for what this step reads or shows, now that it has been started. Rejects with SshFailure. */
export async function askSecret(
  { secrets }: Pick<ExecutorContext, 'secrets'>,
  step: Pick<RenderedStep, 'id'>,
  { runId, n, epoch, secrets: claimed = [] }: Assignment,
  signal: AbortSignal,
): Promise<StepSecret> {
  const of = claimed.find(({ stepId }) => stepId === step.id)
  // Better not run at all than with nothing where a secret was to be.
  if (!of) throw new SshFailure('credential-unavailable', 'the claim names no secret for it: it was not run')
  return new StepSecret(await secrets.release({ runId, n, epoch, ...of }, signal))
}
