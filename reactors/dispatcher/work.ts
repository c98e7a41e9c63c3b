import type { Credential, Job, Target } from '../../command-api/domain/index.ts'
import type { Assignment } from '../../schemas/bus.ts'
import type { FailureClass } from '../../schemas/failure.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { Step } from '../../schemas/steps/index.ts'

/** What a target run needs, as it is when it is claimed and not as it was when the run was triggered. */
export type Work = {
  steps: readonly Step[]
  target: Assignment['target']
  credential: Assignment['credential']
}
/** The target run cannot be carried out at all: it ends before anything is connected to. */
export type Impossible = { class: FailureClass; detail: string }

/** Above this an assignment would not fit a message of the broker (1 MiB) together with its envelope. */
const MAX_STEPS_BYTES = 1_000_000

export function stepsOf(job: Job, version: number): JobVersion | Impossible {
  const found = job.status === 'absent' ? undefined : job.versions.find(v => v.version === version)
  if (!found) return { class: 'internal', detail: `the job has no version ${version}` }
  if (stepsBytes(found) > MAX_STEPS_BYTES)
    return { class: 'internal', detail: 'the job is too large to be sent to an executor' }
  return found
}

const sizes = new WeakMap<JobVersion, number>()

/** Size of the steps as they travel; measured once for each job version. */
export function stepsBytes(version: JobVersion): number {
  let bytes = sizes.get(version)
  if (bytes === undefined) {
    bytes = Buffer.byteLength(JSON.stringify(version.steps))
    sizes.set(version, bytes)
  }
  return bytes
}

export function targetOf(target: Target, targetId: string): Assignment['target'] | Impossible {
  if (target.status === 'absent') return { class: 'internal', detail: `there is no target ${targetId}` }
  const { name, address, port, hostKeyPolicy: policy, hostKey } = target
  if (target.status === 'decommissioned') {
    return { class: 'internal', detail: `the target ${name} was decommissioned after the run was triggered` }
  }
  return { targetId, name, address, port, hostKey: { policy, ...(hostKey && { key: hostKey.key }) } }
}

export function credentialOf(credential: Credential, credentialId: string): Assignment['credential'] | Impossible {
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
