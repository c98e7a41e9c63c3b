import { maySeeCredential } from '../../infra/access.ts'
import type { Holder } from '../../infra/http/index.ts'
import { isOneOf } from '../../schemas/actor.ts'
import { jobCommands } from '../../schemas/job.ts'
import type { AccountOwner } from '../../schemas/service-account.ts'
import type { ParsedCommand } from '../decide.ts'
import type { Catalogue } from '../dispatch/catalogue.ts'
import type { CommandOf, Target } from '../domain/index.ts'
import { absent, Denied, demand, holdsEverywhere } from './denied.ts'

type Definition = Pick<
  Extract<CommandOf<'job'>, { type: 'publish-job-version' }>['data'],
  'steps' | 'credentialId' | 'selection' | 'onFailure'
>

/**
 * What a command names beside what it is about: nobody may build on what is not theirs, whoever would use it later.
 * Throws Denied.
 */
export async function checkReferences(
  holder: Holder,
  catalogue: Catalogue,
  { decides, name, data }: ParsedCommand,
  state: unknown,
): Promise<void> {
  if (decides === 'serviceaccount' && 'owner' in data) demandOwner(holder, data.owner as AccountOwner)
  if (decides === 'target' && typeof data.credentialId === 'string')
    demandCredential(holder, catalogue, data.credentialId)
  // Whoever moves a target says where its secret is sent from then on, as much as whoever assigned it.
  if (name === 'change-target-address') demandCredentialOf(holder, catalogue, state as Target)
  // The schemas of these two names have made `data` what the cast says.
  if (decides === 'job' && Object.hasOwn(jobCommands, name) && 'steps' in data)
    await checkDefinition(holder, catalogue, data as Definition)
}

function demandCredential(holder: Holder, catalogue: Catalogue, id: string): void {
  const resource = { kind: 'credential', id }
  if (!maySeeCredential(holder, id, catalogue.credential(id)?.owner))
    throw new Denied(`needs credential:oversee on the credential ${id}`, absent(resource))
  demand(holder, 'credential:use', resource)
}

function demandCredentialOf(holder: Holder, catalogue: Catalogue, target: Target): void {
  if (target.status === 'absent' || target.credentialId === undefined) return
  demandCredential(holder, catalogue, target.credentialId)
}

/** One’s own id everybody knows. */
function demandOwner(holder: Holder, { kind, id }: AccountOwner): void {
  if (kind === 'group' || !isOneOf(holder.actor, { kind, id })) demand(holder, `${kind}:read`, { kind, id })
}

async function checkDefinition(holder: Holder, catalogue: Catalogue, definition: Definition): Promise<void> {
  const { credentialId, selection, steps, onFailure = [] } = definition
  if (credentialId !== undefined) demandCredential(holder, catalogue, credentialId)
  const named = holdsEverywhere(holder, 'target:read') ? [] : (selection?.targetIds ?? [])
  if (named.length > 0) await catalogue.current()
  for (const id of named) demand(holder, 'target:read', { kind: 'target', id, tags: catalogue.target(id)?.tags })
  for (const step of [...steps, ...onFailure])
    if (step.uses === 'job.run') demand(holder, 'job:read', { kind: 'job', id: step.with.jobId })
}
