import { personOf, principalKey } from '../infra/access.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Holder } from '../infra/http/index.ts'
import { sha256Hex } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import type { Verdicts } from '../infra/safety/verdicts.ts'
import type { SignInVault } from '../infra/sign-in-vault.ts'
import type { CommandSpec } from '../schemas/commands.ts'
import { kindOf, type SecretMaterial } from '../schemas/credential.ts'
import { type Definition, definitionFields } from '../schemas/job.ts'
import type { Meta } from '../schemas/kernel.ts'
import { authorise } from './access/authorise.ts'
import type { AccessFeed } from './access/feed.ts'
import { factsForGrant } from './access/grant-facts.ts'
import { mayRun } from './access/may-run.ts'
import { decideApiKey } from './auth/api-keys.ts'
import { decideServiceAccount } from './auth/service-accounts.ts'
import { decideUser, type UserAsked } from './auth/users.ts'
import { canonicalJson } from './canonical-json.ts'
import type { Catalogue } from './dispatch/catalogue.ts'
import { factsForRun, factsForTargetRun } from './dispatch/run-facts.ts'
import { deniedCommands } from './dispatch/safety.ts'
import type { Answer, Dispatcher } from './dispatch.ts'
import {
  type CommandOf,
  type Credential,
  type CredentialFacts,
  isOthers,
  type JobFacts,
  type Run,
} from './domain/index.ts'
import { issueEnrolmentToken } from './enrolment-token.ts'
import { factsForApproval } from './sod/approval.ts'
import { decideBreakGlass } from './sod/break-glass.ts'
import { checkGrant, checkMember } from './sod/judge.ts'
import { authorityOf, checkAuthor, checkRequester, refusedIn } from './sod/run.ts'
import type { VaultClient } from './vault-client.ts'

export type DecideDeps = {
  store: EventStore
  dispatcher: Dispatcher
  catalogue: Catalogue
  access: AccessFeed
  vault: VaultClient
  signIn: SignInVault
  verdicts: Verdicts
  log: Log
}
type Rest = { meta: Meta; expected?: bigint | undefined; isNew?: boolean; holder: Holder; spec: CommandSpec }

/** A command of the public API whose body was parsed and whose resource id is known. */
export type ParsedCommand = {
  decides: CommandSpec['decides']
  name: string
  data: Record<string, unknown>
}

/** Looks up what the decision needs and dispatches. The schema of each name has made `data` what the casts below say. */
export function decideCommand(deps: DecideDeps, parsed: ParsedCommand, options: Rest): Promise<Answer> {
  const { dispatcher } = deps
  const { decides, name, data } = parsed
  const { holder, spec, ...given } = options
  const rest = { ...given, authorise: (state: unknown) => authorise(deps, { holder, spec, command: parsed }, state) }
  const command: unknown = { type: name, data }
  switch (decides) {
    case 'target':
      return dispatcher.dispatch('target', command as CommandOf<'target'>, { ...rest, facts: {} })
    case 'credential':
      return decideCredential(deps, command as CommandOf<'credential'> & { data: { secret?: SecretMaterial } }, rest)
    case 'job': {
      const job = command as CommandOf<'job'>
      return dispatcher.dispatch('job', job, {
        ...rest,
        facts: async () => {
          await checkAuthor(deps, job, rest.meta)
          return await definitionOf(deps, data)
        },
      })
    }
    case 'executor': {
      const executor = command as CommandOf<'executor'>
      if (executor.type === 'create-enrolment-token') return issueEnrolmentToken(dispatcher, executor, rest)
      return dispatcher.dispatch('executor', executor, { ...rest, facts: undefined })
    }
    case 'run': {
      return decideRun(deps, command as CommandOf<'run'>, holder, rest)
    }
    case 'targetrun': {
      const targetRun = command as CommandOf<'targetRun'>
      return dispatcher.dispatch('targetRun', targetRun, {
        ...rest,
        facts: () => factsForTargetRun(deps, targetRun.data),
      })
    }
    case 'role':
      return dispatcher.dispatch('role', command as CommandOf<'role'>, { ...rest, facts: undefined })
    case 'group': {
      const group = command as CommandOf<'group'>
      return dispatcher.dispatch('group', group, {
        ...rest,
        facts: async state => void (await checkMember(deps, group, state, rest.meta)),
      })
    }
    case 'grant': {
      const grant = command as CommandOf<'grant'>
      return dispatcher.dispatch('grant', grant, {
        ...rest,
        facts: async state => {
          await checkGrant(deps, grant, state, rest.meta)
          return await factsForGrant(deps, grant)
        },
      })
    }
    case 'user':
      return decideUser(deps, command as UserAsked, rest)
    case 'serviceaccount':
      return decideServiceAccount(deps, command as CommandOf<'serviceAccount'>, rest)
    case 'apikey':
      return decideApiKey(deps, command as CommandOf<'apiKey'>, rest)
    case 'session':
      return dispatcher.dispatch('session', command as CommandOf<'session'>, { ...rest, facts: undefined })
    case 'sodrule':
      return dispatcher.dispatch('sodRule', command as CommandOf<'sodRule'>, { ...rest, facts: undefined })
    case 'sodviolation': {
      const who = personOf(deps.access.state, rest.meta.actor)
      const facts = { by: principalKey(who ?? rest.meta.actor) }
      return dispatcher.dispatch('sodViolation', command as CommandOf<'sodViolation'>, { ...rest, facts })
    }
    case 'breakglass':
      return decideBreakGlass(deps, command as CommandOf<'breakGlass'>, rest)
  }
}

type Given = Omit<Rest, 'holder' | 'spec'> & { authorise: (state: unknown) => Promise<void> }

/** Throws ProblemError where what is recorded is a refusal. */
async function decideRun(deps: DecideDeps, run: CommandOf<'run'>, holder: Holder, rest: Given): Promise<Answer> {
  const facts = async (state: Run) => {
    const ofApproval = await factsForApproval(deps, run, state, rest.meta)
    if (ofApproval) return ofApproval
    const found = await factsForRun(deps, run, rest.meta.actor, mayRun(deps, holder, run))
    if (!found || found.job.status === 'absent' || (run.type !== 'trigger-run' && run.type !== 'rerun')) return found
    if (state.status === 'absent') await checkRequester(deps, run, found, rest.meta)
    return { ...found, authority: authorityOf(deps.access.state, holder, found.job.jobId, rest.meta) }
  }
  const answer = await deps.dispatcher.dispatch('run', run, { ...rest, facts })
  const refused = refusedIn(answer)
  if (refused) throw refused
  return answer
}

/** Two definitions are the same when their canonical JSON is. */
async function definitionOf({ verdicts }: DecideDeps, data: Record<string, unknown>): Promise<JobFacts> {
  if (data.steps === undefined) return {}
  const definition = Object.fromEntries(definitionFields.map(field => [field, data[field]]))
  const denied = await deniedCommands(verdicts, definition as Definition)
  return { digest: sha256Hex(canonicalJson(definition)), denied }
}

/** The secret leaves the command here: what is dispatched carries only what the vault says about it. */
function decideCredential(
  { dispatcher, vault }: DecideDeps,
  { type, data: { secret, ...data } }: CommandOf<'credential'> & { data: { secret?: SecretMaterial } },
  rest: { meta: Meta; expected?: bigint | undefined; isNew?: boolean },
): Promise<Answer> {
  const facts = async (state: Credential): Promise<CredentialFacts> => {
    const version = versionToSeal(type, data, state, rest.meta)
    if (!secret || version === undefined) return {}
    return { secret: { kind: kindOf(secret), version, sealed: await vault.seal(data.credentialId, version, secret) } }
  }
  return dispatcher.dispatch('credential', { type, data } as CommandOf<'credential'>, { ...rest, facts })
}

/** Nothing is sealed for a command that will be refused anyway. */
function versionToSeal(type: string, data: object, state: Credential, { actor }: Meta): number | undefined {
  if (type === 'create-credential')
    return state.status === 'absent' || ('name' in data && data.name === state.name) ? 1 : undefined
  return state.status === 'active' && !isOthers(state.owner, actor) ? state.latestVersion + 1 : undefined
}
