import { boundOf, changesOf } from '../../command-api/dispatch/approval.ts'
import type { Catalogue } from '../../command-api/dispatch/catalogue.ts'
import { chosenVersion } from '../../command-api/domain/index.ts'
import type { Bound } from '../../schemas/approval.ts'
import { streams } from '../../schemas/events.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun } from './active-run.ts'

type Known = Pick<Commands, 'known' | 'catalogue'>
/** An approval that was given to something else than what would be done now. */
export type Outdated = { stepId: string; digest: string; changes: string[] }

/**
 * Looked for before anything begins that hangs on an approval: days may lie between a yes and that. Undefined where all
 * is as it was agreed. Throws EventStoreUnavailable.
 */
export async function outdated(run: ActiveRun, stepId: string, commands: Known): Promise<Outdated | undefined> {
  const agreed = run.unusedAgreements(stepId)
  if (agreed.length === 0) return undefined
  const now = await asItIsNow(run, commands)
  if (!now) return undefined
  for (const { stepId: gate, bound } of agreed) {
    const changes = changesOf(bound, now.bound, now.catalogue, run.targetIds)
    if (changes.length > 0) return { stepId: gate, digest: bound.digest, changes }
  }
  return undefined
}

type Now = { bound: Bound; catalogue: Catalogue } | undefined
const looking = new WeakMap<ActiveRun, Promise<Now>>()

/** Once for all target runs that are looked at together: there may be thousands of targets in it. */
function asItIsNow(run: ActiveRun, commands: Known): Promise<Now> {
  const known = looking.get(run)
  if (known) return known
  const now = look(run, commands).finally(() => looking.delete(run))
  looking.set(run, now)
  return now
}

/** Undefined where there is no such job version: what is to begin will say so. */
async function look(run: ActiveRun, commands: Known): Promise<Now> {
  const { request, targetIds } = run
  const version = chosenVersion(
    { version: request.jobVersion },
    await commands.known('job', streams.job(request.jobId)),
  )
  if (!version) return undefined
  const catalogue = await commands.catalogue()
  return { catalogue, bound: boundOf(catalogue, { version, request, targetIds }) }
}
