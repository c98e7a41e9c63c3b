import type { Credential, Job, Target } from '../../command-api/domain/index.ts'
import type { Assignment } from '../../schemas/bus.ts'
import type { FailureClass } from '../../schemas/failure.ts'
import type { JobVersion } from '../../schemas/job.ts'
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

export function credentialOf(credential: Credential, credentialId: string): Login | Impossible {
  const unavailable = (detail: string): Impossible => ({ class: 'credential-unavailable', detail })
  if (credential.status === 'absent') return unavailable(`there is no credential ${credentialId}`)
  if (credential.status === 'revoked') {
    return unavailable(`the credential ${credential.name} was revoked after the run was triggered`)
  }
  const newest = credential.versions.at(-1)
  if (!newest) return unavailable(`the credential ${credential.name} has no version`)
  return { credentialId, version: newest.version, kind: newest.kind, username: credential.username }
}

export const isImpossible = (value: object): value is Impossible => 'class' in value && 'detail' in value
