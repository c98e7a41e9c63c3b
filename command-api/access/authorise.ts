import { maySeeCredential, type Resource } from '../../infra/access.ts'
import { type Holder, ProblemError } from '../../infra/http/index.ts'
import type { CommandSpec } from '../../schemas/commands.ts'
import { streams } from '../../schemas/events.ts'
import type { ParsedCommand } from '../decide.ts'
import type { Catalogue } from '../dispatch/catalogue.ts'
import type { Dispatcher } from '../dispatch.ts'
import type { CommandOf, Credential, Run, Target } from '../domain/index.ts'
import { absent, Denied, demand, holdsEverywhere } from './denied.ts'
import { checkPrivilege, type PrivilegeDeps } from './privilege.ts'
import { checkReferences } from './references.ts'

export type AuthoriseDeps = PrivilegeDeps & { dispatcher: Dispatcher; catalogue: Catalogue }
type Asked = { holder: Holder; spec: CommandSpec; command: ParsedCommand }

/**
 * Whether this holder may do this to what is there now. Asked with the very state that is decided on, so that nothing
 * moves in between. Throws Denied.
 */
export async function authorise(deps: AuthoriseDeps, asked: Asked, state: unknown): Promise<void> {
  const { holder, spec, command } = asked
  if (command.decides === 'credential') checkPersonal(holder, command, state as Credential)
  if (!holdsEverywhere(holder, spec.permission)) await checkOwn(deps, asked, state)
  await checkReferences(holder, deps.catalogue, command, state)
  await checkPrivilege(deps, holder, command)
}

/** Somebody else's personal credential is not there, unless its id is asked for anew. */
function checkPersonal(holder: Holder, { name, data }: ParsedCommand, state: Credential): void {
  if (state.status === 'absent' || name === 'create-credential') return
  const id = String(data.credentialId)
  if (maySeeCredential(holder, id, state.owner)) return
  throw new Denied(`needs credential:oversee on the credential ${id}`, absent({ kind: 'credential', id }))
}

/** The command's own permission on what it is about. */
async function checkOwn(deps: AuthoriseDeps, { holder, spec, command }: Asked, state: unknown): Promise<void> {
  const { decides, name, data } = command
  const { permission } = spec
  switch (decides) {
    case 'target':
      return checkTarget(holder, permission, { type: name, data } as CommandOf<'target'>, state as Target)
    case 'job':
      return checkJob(holder, permission, String(data.jobId))
    case 'run':
      return checkRun(holder, permission, { type: name, data } as CommandOf<'run'>, state as Run)
    case 'targetrun': {
      const runId = String(data.runId)
      const { state: run } = await deps.dispatcher.load('run', streams.run(runId))
      return demand(holder, permission, runResource(runId, run))
    }
  }
  // Of all others nothing but their id counts.
  const { idField, category } = spec
  demand(holder, spec.permission, { kind: kindOf[category] ?? category, id: String(data[idField]) })
}

/** Categories whose things are called otherwise in grants. */
const kindOf: Readonly<Record<string, string>> = { serviceaccount: 'service-account', apikey: 'api-key' }

const runResource = (id: string, run: Run): Resource => ({
  ...{ kind: 'run', id },
  jobId: run.status === 'absent' ? undefined : run.requested.jobId,
})

/** On the target as it is and as it will be: nobody may move one into, or out of, what is not theirs. */
function checkTarget(holder: Holder, permission: string, command: CommandOf<'target'>, state: Target): void {
  const { targetId: id } = command.data
  if (command.type === 'create-target') {
    if (!holder.permitsOn(permission, { kind: 'target', id, tags: command.data.tags }))
      throw new Denied(`needs ${permission} on a target with these tags`)
    const isTheirs = state.status === 'absent' || holder.permitsOn(permission, { kind: 'target', id, tags: state.tags })
    if (isTheirs) return
    // That there is one shows, as nobody can have it; whose and what it is does not.
    throw new Denied(`needs ${permission} on the target ${id}, which is there`, targetTaken(id))
  }
  const tags = state.status === 'absent' ? undefined : state.tags
  demand(holder, permission, { kind: 'target', id, tags })
  const after = tags && tagsAfter(command, tags)
  if (after && !holder.permitsOn(permission, { kind: 'target', id, tags: after }))
    throw new Denied(`needs ${permission} on the target with the tags it would have then`)
}

/** In the words of the rules for one that may be seen. */
const targetTaken = (id: string) => new ProblemError('target-already-exists', `there is already a target ${id}`)

function tagsAfter(command: CommandOf<'target'>, tags: Record<string, string>): Record<string, string> | undefined {
  if (command.type === 'tag-target') return { ...tags, [command.data.key]: command.data.value }
  if (command.type !== 'untag-target') return undefined
  const { [command.data.key]: _, ...left } = tags
  return left
}

/** Whether there is such a job makes no difference. */
function checkJob(holder: Holder, permission: string, id: string): void {
  const resource = { kind: 'job', id }
  if (!holder.permitsOn(permission, resource) && !holder.permits('job:read'))
    throw new Denied(`needs ${permission} on jobs`)
  demand(holder, permission, resource)
}

/** A run that is yet to be belongs to the job it is asked of; of a rerun that is looked up later. */
function checkRun(holder: Holder, permission: string, command: CommandOf<'run'>, state: Run): void {
  if (command.type === 'rerun') return
  const isNew = command.type === 'trigger-run'
  const resource = isNew ? { kind: 'job', id: command.data.jobId } : runResource(command.data.runId, state)
  demand(holder, permission, resource)
}
