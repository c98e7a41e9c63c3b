import { type Credential, isOthers, type Job, type Target } from '../../command-api/domain/index.ts'
import type { Assignment } from '../../schemas/bus.ts'
import type { CredentialKind } from '../../schemas/credential.ts'
import type { FailureClass } from '../../schemas/failure.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { Actor } from '../../schemas/kernel.ts'
import type { RenderedStep } from '../../schemas/steps/index.ts'

/** The target run cannot be carried out at all: it ends before anything is connected to. */
export type Impossible = { class: FailureClass; detail: string }

export function stepsOf(job: Job, version: number): JobVersion | Impossible {
  const found = job.status === 'absent' ? undefined : job.versions.find(v => v.version === version)
  return found ?? { class: 'internal', detail: `the job has no version ${version}` }
}

/** Whether the executor logs in to the target for it. */
export function needsLogin({ action, check }: RenderedStep): boolean {
  switch (action.uses) {
    case 'ssh.command':
    case 'ssh.script':
    case 'file.put':
    case 'file.get':
      return true
    case 'wait.until':
      return action.with.probe.kind === 'command' || check !== undefined
    case 'http.request':
    case 'wait.time':
    case 'noop':
      return check !== undefined
  }
}

export function targetOf(target: Target, targetId: string): Assignment['target'] | Impossible {
  if (target.status === 'absent') return { class: 'internal', detail: `there is no target ${targetId}` }
  const { name, address, port, hostKeyPolicy: policy, hostKey } = target
  if (target.status === 'decommissioned') {
    return { class: 'internal', detail: `the target ${name} was decommissioned after the run was triggered` }
  }
  return { targetId, name, address, port, hostKey: { policy, ...(hostKey && { key: hostKey.key }) } }
}

type Login = NonNullable<Assignment['credential']>

/** What whoever asked for the run may not do any more. */
export const denied = (detail: string): Impossible => ({ class: 'denied', detail })

/** For whom, to which end, and when a credential is to be used. */
export type CredentialUse = { actor: Actor; kinds: ReadonlySet<CredentialKind>; now: string }

export function credentialOf(credential: Credential, credentialId: string, use: CredentialUse): Login | Impossible {
  const unavailable = (detail: string): Impossible => ({ class: 'credential-unavailable', detail })
  if (credential.status === 'absent') return unavailable(`there is no credential ${credentialId}`)
  // Whoever sees the run may not know what it is called.
  if (isOthers(credential.owner, use.actor))
    return unavailable(`the credential ${credentialId} is personal, and not of whoever triggered the run`)
  if (credential.status === 'revoked') {
    return unavailable(`the credential ${credential.name} was revoked after the run was triggered`)
  }
  const newest = credential.versions.at(-1)
  if (!newest) return unavailable(`the credential ${credential.name} has no version`)
  const { kind, expiresAt } = newest
  if (expiresAt !== undefined && Date.parse(expiresAt) <= Date.parse(use.now))
    return unavailable(`the credential ${credential.name} has expired`)
  if (!use.kinds.has(kind))
    return unavailable(`the credential ${credential.name} is of the kind ${kind}: of no use here`)
  return { credentialId, version: newest.version, kind: newest.kind, username: credential.username }
}

export const isImpossible = (value: object): value is Impossible => 'class' in value && 'detail' in value
