import type { Config } from '../infra/config.ts'
import { type EgressPolicy, egressPolicy } from '../infra/egress.ts'
import { type SecretMaterial, type UsableSecret, usableSecret } from '../schemas/credential.ts'
import { askJson } from './kek/ask.ts'
import { shapeProblem } from './secret-shape.ts'

type Reference = Extract<SecretMaterial, { kind: 'external' }>

/** Where the secret should be, there is nothing that can be used: for a person to put right. */
export class ExternalUnusable extends Error {
  override name = 'ExternalUnusable'
}
/** No answer, or none that says anything about the secret: try again. */
export class ExternalUnavailable extends Error {
  override name = 'ExternalUnavailable'
}

/** Reads a secret where it is kept. Throws ExternalUnusable, ExternalUnavailable; neither quotes it. */
export type ReadExternal = (reference: Reference) => Promise<UsableSecret>

/** From HashiCorp Vault's KV engine, version 2 (GET /v1/<mount>/data/<path>). */
export function readExternal(config: Pick<Config, 'hashicorpVault' | 'vaultEgressAllow'>): ReadExternal {
  const policy = egressPolicy(config.vaultEgressAllow)
  return async reference => {
    const [path = '', field = ''] = reference.path.slice('vault:'.length).split('#')
    const value = (await secretAt(config.hashicorpVault, policy, path))[field]
    if (typeof value !== 'string') throw new ExternalUnusable(`there is no text in the field ${field} of ${path}`)
    return usable(reference, value)
  }
}

async function secretAt(
  { url, token, namespace }: Config['hashicorpVault'],
  policy: EgressPolicy,
  path: string,
): Promise<Record<string, unknown>> {
  if (url === undefined) throw new ExternalUnusable('OPSCONDUCTOR_HASHICORP_VAULT_URL is not set')
  const headers = {
    ...(token && { 'x-vault-token': token.reveal() }),
    ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
    'x-vault-request': 'true',
  }
  const asked = { method: 'GET', url: new URL(`/v1/${path}`, url).href, headers }
  const { status, body } = await askJson(policy, asked, why => new ExternalUnavailable(`HashiCorp Vault: ${why}`))
  if (status === 403) throw new ExternalUnusable(`HashiCorp Vault does not let us read ${path}`)
  // Deleted versions answer 404 as well.
  if (status === 404) throw new ExternalUnusable(`HashiCorp Vault has nothing at ${path}`)
  if (status !== 200) throw new ExternalUnavailable(`HashiCorp Vault answers with status ${status}`)
  const secret = isObject(body.data) ? body.data.data : undefined
  if (!isObject(secret)) throw new ExternalUnusable(`what is at ${path} is not of the KV engine, version 2`)
  return secret
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

function usable({ of: kind, path }: Reference, value: string): UsableSecret {
  const named = {
    ...{ 'ssh-key': 'privateKey', password: 'password', 'windows-password': 'password' },
    ...{ 'api-token': 'token', generic: 'value' },
  } as const
  const parsed = usableSecret.safeParse({ kind, [named[kind]]: value })
  const problem =
    parsed.success && parsed.data.kind !== 'ssh-certificate' ? shapeProblem(parsed.data) : 'it does not fit'
  if (!parsed.success || problem !== undefined)
    throw new ExternalUnusable(`what is at ${path} cannot be used as ${kind}: ${problem}`)
  return parsed.data
}
