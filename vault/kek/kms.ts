import aws4 from 'aws4'
import { z } from 'zod'
import type { Secret } from '../../infra/config.ts'
import type { EgressPolicy } from '../../infra/egress.ts'
import { NotAuthentic } from '../aes-gcm.ts'
import { KekFixed, type KekProvider, KekUnavailable, unknownKek } from '../kek.ts'
import { type Answered, askJson } from './ask.ts'

export type KmsOptions = {
  /** ARNs, the first of which wraps what is new. */
  keys: readonly string[]
  accessKeyId: string
  secretAccessKey: Secret
  sessionToken: Secret | undefined
  /** Where the service answers when it is not the region's own address. */
  endpoint: string | undefined
  egress: EgressPolicy
}

/** `arn:aws:kms:<region>:<account>:key/<id>`: an alias may be pointed elsewhere, so only the key itself will do. */
export const kmsKeyArn = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[A-Za-z0-9-]{1,100}$/

const encryptAnswer = z.object({ CiphertextBlob: z.base64(), KeyId: z.string() })
const decryptAnswer = z.object({ Plaintext: z.base64(), KeyId: z.string() })
const describeAnswer = z.object({ KeyMetadata: z.object({ KeyState: z.string(), KeyUsage: z.string() }) })

const fixed = () =>
  new KekFixed(
    'keys of AWS KMS are made and deleted there: put the new one first in OPSCONDUCTOR_KEK_KMS_KEYS and start the vault again',
  )

/**
 * Keys that AWS KMS holds and never gives out (API version 2014-11-01: Encrypt, Decrypt, DescribeKey, signed with
 * Signature Version 4). Associated data travel as the encryption context.
 */
export function kmsKekProvider(options: KmsOptions): KekProvider {
  const { keys } = options
  const [active = ''] = keys
  const ask = asker(options)
  const known = (kekId: string) => {
    if (!keys.includes(kekId)) throw unknownKek(kekId)
  }
  return {
    active,
    ids: () => keys,
    wrap: async (kekId, plaintext, aad) => {
      known(kekId)
      const body = { KeyId: kekId, Plaintext: Buffer.from(plaintext).toString('base64'), ...bound(aad) }
      return Buffer.from(encryptAnswer.parse(await ask('Encrypt', kekId, body)).CiphertextBlob, 'base64')
    },
    unwrap: async (kekId, wrapped, aad) => {
      known(kekId)
      const body = { KeyId: kekId, CiphertextBlob: wrapped.toString('base64'), ...bound(aad) }
      const { Plaintext, KeyId } = decryptAnswer.parse(await ask('Decrypt', kekId, body))
      if (KeyId !== kekId) throw new NotAuthentic('unwrapped by another key')
      return Buffer.from(Plaintext, 'base64')
    },
    refresh: async () => undefined,
    renew: async () => {
      throw fixed()
    },
    destroy: async () => {
      throw fixed()
    },
    health: async () => {
      const detail = await ask('DescribeKey', active, { KeyId: active }).then(stateProblem, (err: Error) => err.message)
      return { name: 'key-encryption key', ok: detail === undefined, detail: detail ?? active }
    },
  }
}

function stateProblem(answer: unknown): string | undefined {
  const { KeyState, KeyUsage } = describeAnswer.parse(answer).KeyMetadata
  if (KeyState !== 'Enabled') return `the key is ${KeyState}`
  return KeyUsage === 'ENCRYPT_DECRYPT' ? undefined : `the key is for ${KeyUsage}`
}

const bound = (aad: Buffer) => ({ EncryptionContext: { opsconductor: aad.toString('base64') } })

function asker({ accessKeyId, secretAccessKey, sessionToken, endpoint, egress }: KmsOptions) {
  return async (action: string, kekId: string, body: object): Promise<unknown> => {
    const region = kmsKeyArn.exec(kekId)?.[1] ?? ''
    const url = new URL(endpoint ?? `https://kms.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/`)
    const text = JSON.stringify(body)
    const { headers = {} } = aws4.sign(
      {
        ...{ host: url.host, path: '/', method: 'POST', service: 'kms', region, body: text },
        headers: { 'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': `TrentService.${action}` },
      },
      {
        ...{ accessKeyId, secretAccessKey: secretAccessKey.reveal() },
        ...(sessionToken && { sessionToken: sessionToken.reveal() }),
      },
    )
    // Signed as they will be, but set by the client itself.
    const own = Object.entries(headers).filter(([name]) => !/^(host|content-length)$/i.test(name))
    const sent = Object.fromEntries(own.map(([name, value]) => [name, String(value)]))
    const failed = (why: string) => new KekUnavailable(`AWS KMS: ${why}`)
    const answer = await askJson(egress, { method: 'POST', url: url.href, headers: sent, body: text }, failed)
    if (answer.status !== 200) throw refused(answer, kekId)
    return answer.body
  }
}

/** By the service's name for it (KMS API reference, errors of Encrypt and Decrypt). */
function refused({ status, body }: Answered, kekId: string): Error {
  const name = typeof body.__type === 'string' ? (body.__type.split('#').at(-1) ?? '') : ''
  switch (name) {
    case 'InvalidCiphertextException':
    case 'IncorrectKeyException':
      return new NotAuthentic('AWS KMS does not open a wrapped key')
    case 'NotFoundException':
      return unknownKek(kekId)
    case 'AccessDeniedException':
    case 'DisabledException':
    case 'KMSInvalidStateException':
    case 'InvalidSignatureException':
    case 'UnrecognizedClientException':
      return new KekUnavailable(`AWS KMS: ${name}`)
    default:
      return new KekUnavailable(`AWS KMS answers with status ${status}`)
  }
}
