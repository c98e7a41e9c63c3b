import { sha256Hex } from '../infra/ids.ts'
import type { SecretMaterial } from '../schemas/credential.ts'
import { streams } from '../schemas/events.ts'
import type { Meta } from '../schemas/kernel.ts'
import { canonicalJson } from './canonical-json.ts'
import type { Catalogue } from './catalogue.ts'
import type { Answer, Dispatcher } from './dispatch.ts'
import {
  type CommandOf,
  type Credential,
  type CredentialFacts,
  chosenSelection,
  type Job,
  type JobFacts,
  type RunFacts,
} from './domain/index.ts'
import type { VaultClient } from './vault-client.ts'

export type DecideDeps = { dispatcher: Dispatcher; catalogue: Catalogue; vault: VaultClient }
type Rest = { meta: Meta; expected?: bigint | undefined; isNew?: boolean }

/** A command of the public API whose body was parsed and whose resource id is known. */
export type ParsedCommand = {
  category: 'target' | 'credential' | 'job' | 'run'
  name: string
  data: Record<string, unknown>
}

/** Looks up what the decision needs and dispatches. The schema of each name has made `data` what the casts below say. */
export function decideCommand(deps: DecideDeps, { category, name, data }: ParsedCommand, rest: Rest): Promise<Answer> {
  const { dispatcher } = deps
  const command: unknown = { type: name, data }
  switch (category) {
    case 'target':
      return dispatcher.dispatch('target', command as CommandOf<'target'>, { ...rest, facts: {} })
    case 'credential':
      return decideCredential(deps, command as CommandOf<'credential'> & { data: { secret?: SecretMaterial } }, rest)
    case 'job':
      return dispatcher.dispatch('job', command as CommandOf<'job'>, { ...rest, facts: definitionOf(data) })
    case 'run': {
      const run = command as CommandOf<'run'>
      const facts = run.type === 'trigger-run' ? () => runFacts(deps, run.data) : undefined
      return dispatcher.dispatch('run', run, { ...rest, facts })
    }
  }
}

/** Two definitions are the same when their canonical JSON is. */
function definitionOf({ steps, selection, credentialId, maxParallel }: Record<string, unknown>): JobFacts {
  return steps === undefined
    ? {}
    : { digest: sha256Hex(canonicalJson({ steps, selection, credentialId, maxParallel })) }
}

/** The secret leaves the command here: what is dispatched carries only what the vault says about it. */
function decideCredential(
  { dispatcher, vault }: DecideDeps,
  { type, data: { secret, ...data } }: CommandOf<'credential'> & { data: { secret?: SecretMaterial } },
  rest: Rest,
): Promise<Answer> {
  const facts = async (state: Credential): Promise<CredentialFacts> => {
    const version = versionToSeal(type, data, state)
    if (!secret || version === undefined) return {}
    return { secret: { kind: secret.kind, version, sealed: await vault.seal(data.credentialId, version, secret) } }
  }
  return dispatcher.dispatch('credential', { type, data } as CommandOf<'credential'>, { ...rest, facts })
}

/** Nothing is sealed for a command that will be refused anyway. */
function versionToSeal(type: string, data: object, state: Credential): number | undefined {
  if (type === 'create-credential')
    return state.status === 'absent' || ('name' in data && data.name === state.name) ? 1 : undefined
  return state.status === 'active' ? state.latestVersion + 1 : undefined
}

async function runFacts(
  { dispatcher, catalogue }: DecideDeps,
  data: Parameters<typeof chosenSelection>[0] & { jobId: string },
): Promise<RunFacts> {
  const [{ state: job }] = await Promise.all([dispatcher.load('job', streams.job(data.jobId)), catalogue.current()])
  const selection = chosenSelection(data, job)
  const targets = selection ? catalogue.select(selection) : []
  return { job, targets, credentials: statuses(catalogue, job, targets) }
}

function statuses(catalogue: Catalogue, job: Job, targets: RunFacts['targets']): RunFacts['credentials'] {
  const ofJob = job.status === 'absent' ? [] : job.versions.map(v => v.credentialId)
  const found = new Map<string, 'active' | 'revoked'>()
  for (const id of new Set([...ofJob, ...targets.map(t => t.credentialId)])) {
    const status = id === undefined ? undefined : catalogue.credential(id)
    if (id !== undefined && status) found.set(id, status)
  }
  return found
}
