import type { Assignment } from '../../schemas/bus.ts'
import { streams } from '../../schemas/events.ts'
import type { Commands } from '../commands.ts'
import type { Reservation } from '../runs/active-runs.ts'
import { credentialOf, type Impossible, isImpossible, stepsBytes, stepsOf, targetOf, type Work } from './work.ts'

export type Prepared = {
  /** Bytes it will take in an answer, roughly. */
  bytes: number
  steps: Work['steps']
  target: Assignment['target'] | undefined
  credential: Assignment['credential'] | undefined
  /** Why it cannot be carried out after all. */
  impossible: Impossible | undefined
}

const ENVELOPE_BYTES = 4_000

/** Looks up what a target run needs, as it is now. Throws EventStoreUnavailable. */
export async function prepare(commands: Pick<Commands, 'known'>, { run, n }: Reservation): Promise<Prepared> {
  const targetId = run.targetIds[n] ?? ''
  const { jobId, jobVersion, credentialId: ofJob } = run.request
  const [job, target] = await Promise.all([
    commands.known('job', streams.job(jobId)),
    commands.known('target', streams.target(targetId)),
  ])
  const version = stepsOf(job, jobVersion)
  const place = targetOf(target, targetId)
  const credentialId = ofJob ?? (target.status === 'absent' ? undefined : target.credentialId)
  const login = await credential(commands, credentialId)
  return {
    bytes: ENVELOPE_BYTES + (isImpossible(version) ? 0 : stepsBytes(version)),
    steps: isImpossible(version) ? [] : version.steps,
    target: isImpossible(place) ? undefined : place,
    credential: isImpossible(login) ? undefined : login,
    impossible: [version, place, login].find(isImpossible),
  }
}

async function credential(commands: Pick<Commands, 'known'>, credentialId: string | undefined) {
  if (credentialId === undefined) {
    return { class: 'credential-unavailable', detail: 'neither the job nor the target names a credential' } as const
  }
  return credentialOf(await commands.known('credential', streams.credential(credentialId)), credentialId)
}
