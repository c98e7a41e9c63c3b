import { z } from 'zod'
import type { Secret } from '../../infra/config.ts'
import type { EgressPolicy } from '../../infra/egress.ts'
import { NotAuthentic } from '../aes-gcm.ts'
import { type KekProvider, KekUnavailable, UnknownKek, unknownKek } from '../kek.ts'
import { type Answered, askJson } from './ask.ts'

export type TransitOptions = {
  /** Base URL of HashiCorp Vault, or of an agent that signs in to it. */
  url: string
  token: Secret | undefined
  namespace: string | undefined
  /** `<mount>/<key>`. */
  key: string
  egress: EgressPolicy
}

/** Those that authenticate associated data and take no derivation context. */
const types = ['aes256-gcm96', 'aes128-gcm96', 'chacha20-poly1305'] as const
const keyAnswer = z.object({
  type: z.enum(types),
  latest_version: z.int().min(1),
  min_decryption_version: z.int().min(0),
  min_available_version: z.int().min(0).default(0),
  derived: z.literal(false).default(false),
})
const encrypted = z.object({ ciphertext: z.string().regex(/^vault:v\d+:[A-Za-z0-9+/]+={0,2}$/) })
const decrypted = z.object({ plaintext: z.base64() })

type Versions = { latest: number; oldest: number }

/**
 * Keys that HashiCorp Vault's transit engine holds and never gives out: a key-encryption key is one version of the
 * transit key (HTTP API: /transit/keys, /encrypt, /decrypt with `associated_data` and `key_version`, /rotate, /config,
 * /trim). Throws KekUnavailable.
 */
export async function transitKekProvider(options: TransitOptions): Promise<KekProvider> {
  const [mount = '', name = ''] = options.key.split('/')
  const ask = asker(options)
  const at = (action: string, rest = '') => `${mount}/${action}/${name}${rest}`
  const idOf = (version: number) => `transit:${options.key}:v${version}`
  const look = async (): Promise<Versions> => {
    const answer = await ask('GET', at('keys'))
    const parsed = keyAnswer.safeParse(answer.status === 200 ? answer.body.data : undefined)
    if (!parsed.success) throw unusable(options.key, answer)
    const { latest_version: latest, min_decryption_version: least, min_available_version: there } = parsed.data
    return { latest, oldest: Math.max(least, there, 1) }
  }
  let versions = await look()
  const all = () => Array.from({ length: versions.latest - versions.oldest + 1 }, (_, i) => versions.oldest + i)
  const versionOf = (kekId: string): number => {
    const version = all().find(each => idOf(each) === kekId)
    if (version === undefined) throw unknownKek(kekId)
    return version
  }
  /** Somebody may have made a version that this process has not seen. */
  const known = async (kekId: string): Promise<number> => {
    if (!all().some(each => idOf(each) === kekId)) versions = await look()
    return versionOf(kekId)
  }
  return {
    get active() {
      return idOf(versions.latest)
    },
    ids: () => all().map(idOf),
    wrap: async (kekId, plaintext, aad) => {
      const body = { plaintext: Buffer.from(plaintext).toString('base64'), ...bound(aad) }
      const answer = await ask('POST', at('encrypt'), { ...body, key_version: await known(kekId) })
      if (answer.status !== 200) throw refused(answer, kekId)
      return Buffer.from(encrypted.parse(answer.body.data).ciphertext)
    },
    unwrap: async (kekId, wrapped, aad) => {
      const version = await known(kekId)
      const ciphertext = wrapped.toString('latin1')
      // The service would take any version it has: the row is to say the truth about its own.
      if (!ciphertext.startsWith(`vault:v${version}:`)) throw new NotAuthentic('wrapped by another version')
      const answer = await ask('POST', at('decrypt'), { ciphertext, ...bound(aad) })
      if (answer.status !== 200) throw refused(answer, kekId)
      return Buffer.from(decrypted.parse(answer.body.data).plaintext, 'base64')
    },
    refresh: async () => {
      versions = await look()
    },
    renew: async () => {
      const answer = await ask('POST', at('keys', '/rotate'), {})
      if (!succeeded(answer)) throw refused(answer, options.key)
      versions = await look()
      return idOf(versions.latest)
    },
    destroy: async kekId => {
      versions = await look()
      const version = versionOf(kekId)
      if (version === versions.latest) throw new Error(`${kekId} is in use: make a newer one first`)
      const least = { min_decryption_version: version + 1, min_encryption_version: version + 1 }
      for (const [rest, body] of [
        ['/config', least],
        ['/trim', { min_available_version: version + 1 }],
      ] as const) {
        const answer = await ask('POST', at('keys', rest), body)
        if (!succeeded(answer)) throw refused(answer, kekId)
      }
      versions = await look()
    },
    health: async () => {
      const detail = await look().then(
        () => undefined,
        (err: Error) => err.message,
      )
      return { name: 'key-encryption key', ok: detail === undefined, detail: detail ?? idOf(versions.latest) }
    },
  }
}

const bound = (aad: Buffer) => ({ associated_data: aad.toString('base64') })
const succeeded = ({ status }: Answered): boolean => status === 200 || status === 204

function asker({ url, token, namespace, egress }: TransitOptions) {
  const failed = (why: string) => new KekUnavailable(`HashiCorp Vault: ${why}`)
  return (method: string, path: string, body?: object): Promise<Answered> =>
    askJson(
      egress,
      {
        ...{ method, url: new URL(`/v1/${path}`, url).href },
        headers: {
          ...(token && { 'x-vault-token': token.reveal() }),
          ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
          ...{ 'x-vault-request': 'true', 'content-type': 'application/json' },
        },
        ...(body && { body: JSON.stringify(body) }),
      },
      failed,
    )
}

/** What went wrong by the status and the service's own words, of which only known ones are passed on. */
function refused({ status, body }: Answered, kekId: string): Error {
  const said = Array.isArray(body.errors) ? body.errors.join(' ') : ''
  if (status === 403) return new KekUnavailable('HashiCorp Vault: the token is not accepted or may not do this')
  if (status === 404 || /key not found|too old|disallowed by policy/.test(said)) return unknownKek(kekId)
  if (status === 400) return new NotAuthentic('HashiCorp Vault does not open a wrapped key')
  return new KekUnavailable(`HashiCorp Vault answers with status ${status}`)
}

function unusable(key: string, answer: Answered): Error {
  if (answer.status === 200)
    return new KekUnavailable(`the transit key ${key} is not of a type with associated data (${types.join(', ')})`)
  const why = refused(answer, key)
  if (!(why instanceof UnknownKek)) return why
  return new KekUnavailable(`there is no transit key ${key}: make it with vault write -f ${key.replace('/', '/keys/')}`)
}
