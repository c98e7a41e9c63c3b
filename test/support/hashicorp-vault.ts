import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { type FakeAnswer, type FakeRequest, fakeHttp } from './fake-http.ts'

type TransitKey = { type: string; versions: Map<number, Buffer>; latest: number; least: number; available: number }

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const errors = (status: number, ...said: string[]): FakeAnswer => ({ status, body: { errors: said } })
const data = (body: object): FakeAnswer => ({ status: 200, body: { request_id: 'r', lease_id: '', data: body } })

/**
 * The part of HashiCorp Vault's HTTP API that is used here (transit keys; KV version 2, read only), as strict as the
 * real one: token, method, path, parameters, base64, versions, and associated data that really are authenticated.
 */
export async function startHashicorpVault(t: Test) {
  const token = `hvs.${randomBytes(12).toString('hex')}`
  const keys = new Map<string, TransitKey>()
  const kv = new Map<string, Record<string, unknown>>()
  const seen: FakeRequest[] = []
  const state = { sealed: false, token }
  const { url, stop } = await fakeHttp(t, request => {
    seen.push(request)
    if (state.sealed) return errors(503, 'Vault is sealed')
    if (request.headers['x-vault-token'] !== state.token) return errors(403, 'permission denied')
    if (request.headers['x-vault-request'] !== 'true') return errors(400, "missing 'X-Vault-Request' header")
    const [, v1, ...path] = request.path.split('/')
    if (v1 !== 'v1') return errors(404)
    if (path[0] === 'transit') return transit(keys, request, path.slice(1))
    const found = kv.get(path.join('/'))
    return request.method === 'GET' && found ? data({ data: found, metadata: { version: 1 } }) : errors(404)
  })
  return {
    ...{ url, stop, token, seen, state },
    addKey: (name: string, type = 'aes256-gcm96') => {
      keys.set(name, { type, versions: new Map([[1, randomBytes(32)]]), latest: 1, least: 1, available: 0 })
    },
    /** `path` as in the API: `secret/data/db`. */
    put: (path: string, secret: Record<string, unknown>) => kv.set(path, secret),
    drop: (path: string) => kv.delete(path),
  }
}

function transit(keys: Map<string, TransitKey>, request: FakeRequest, [action = '', name = '', rest]: string[]) {
  const key = keys.get(name)
  if (action === 'keys' && rest === undefined && request.method === 'GET') return key ? shown(key) : errors(404)
  if (request.method !== 'POST' && request.method !== 'PUT') return errors(405, 'unsupported operation')
  if (!key) return errors(400, 'encryption key not found')
  let body: Record<string, unknown>
  try {
    body = JSON.parse(request.body)
  } catch {
    return errors(400, 'failed to parse JSON input')
  }
  if (action === 'encrypt') return encrypt(key, body)
  if (action === 'decrypt') return decrypt(key, body)
  if (action === 'keys' && rest === 'rotate') {
    key.latest += 1
    key.versions.set(key.latest, randomBytes(32))
    return shown(key)
  }
  if (action === 'keys' && rest === 'config') {
    const least = Number(body.min_decryption_version)
    if (!(least >= 1 && least <= key.latest)) return errors(400, 'cannot set min decryption version')
    key.least = least
    return shown(key)
  }
  if (action === 'keys' && rest === 'trim') return trim(key, Number(body.min_available_version))
  return errors(404, 'unsupported path')
}

const shown = ({ type, latest, least, available }: TransitKey) =>
  data({
    type,
    latest_version: latest,
    min_decryption_version: least,
    min_available_version: available,
    derived: false,
  })

function trim(key: TransitKey, available: number): FakeAnswer {
  if (available > key.least)
    return errors(400, 'minimum available version cannot be greater than minimum decryption version')
  for (const version of key.versions.keys()) if (version < available) key.versions.delete(version)
  key.available = available
  return { status: 204 }
}

function encrypt(
  key: TransitKey,
  { plaintext, associated_data: aad, key_version: version = key.latest }: Record<string, unknown>,
) {
  if (typeof plaintext !== 'string' || !BASE64.test(plaintext)) return errors(400, 'failed to base64-decode plaintext')
  if (typeof aad !== 'string' || !BASE64.test(aad)) return errors(400, 'failed to base64-decode associated_data')
  const secret = key.versions.get(Number(version))
  if (!secret) return errors(400, 'requested version for encryption is disallowed by policy')
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secret, iv).setAAD(Buffer.from(aad, 'base64'))
  const box = Buffer.concat([iv, cipher.update(Buffer.from(plaintext, 'base64')), cipher.final(), cipher.getAuthTag()])
  return data({ ciphertext: `vault:v${version}:${box.toString('base64')}`, key_version: Number(version) })
}

function decrypt(key: TransitKey, { ciphertext, associated_data: aad }: Record<string, unknown>): FakeAnswer {
  const [, version, content = ''] = /^vault:v(\d+):(.+)$/.exec(String(ciphertext)) ?? []
  if (version === undefined || !BASE64.test(content)) return errors(400, 'invalid ciphertext: no prefix')
  if (typeof aad !== 'string' || !BASE64.test(aad)) return errors(400, 'failed to base64-decode associated_data')
  if (Number(version) < key.least)
    return errors(400, 'ciphertext or signature version is disallowed by policy (too old)')
  const secret = key.versions.get(Number(version))
  if (!secret) return errors(400, 'invalid ciphertext: version is too new')
  const box = Buffer.from(content, 'base64')
  try {
    const decipher = createDecipheriv('aes-256-gcm', secret, box.subarray(0, 12)).setAAD(Buffer.from(aad, 'base64'))
    decipher.setAuthTag(box.subarray(-16))
    const plaintext = Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()])
    return data({ plaintext: plaintext.toString('base64') })
  } catch {
    return errors(400, 'cipher: message authentication failed')
  }
}
