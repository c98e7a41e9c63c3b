import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { type FakeAnswer, type FakeRequest, fakeHttp } from './fake-http.ts'

const REGION = 'eu-central-1'
const ACCOUNT = '111122223333'

type Account = { accessKeyId: string; secretAccessKey: string; sessionToken: string }
type Key = { secret: Buffer; state: string }

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const fail = (type: string, status = 400): FakeAnswer => ({ status, body: { __type: type } })

/**
 * The part of AWS KMS that is used here. Each request's signature is checked by an implementation of its own of Signature
 * Version 4, then the key and the encryption context, which really is authenticated.
 */
export async function startAwsKms(t: Test) {
  const account: Account = {
    accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(20).toString('base64'),
    sessionToken: randomBytes(30).toString('base64'),
  }
  const keys = new Map<string, Key>()
  const { url, stop } = await fakeHttp(t, request => signatureProblem(request, account) ?? act(keys, request))
  return {
    ...{ url, stop, account, keys },
    addKey: () => {
      const arn = `arn:aws:kms:${REGION}:${ACCOUNT}:key/${randomUUID()}`
      keys.set(arn, { secret: randomBytes(32), state: 'Enabled' })
      return arn
    },
  }
}

/** Signature Version 4 as documented: canonical request, string to sign, derived key. */
function signatureProblem({ method, path, headers, body }: FakeRequest, account: Account): FakeAnswer | undefined {
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/kms\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/
  const [, accessKeyId, day = '', region = '', signed = '', signature] = parts.exec(headers.authorization ?? '') ?? []
  if (signature === undefined) return fail('IncompleteSignatureException')
  const names = signed.split(';')
  const must = ['host', 'x-amz-date', 'x-amz-target', 'content-type', 'x-amz-security-token']
  if (!must.every(name => names.includes(name))) return fail('IncompleteSignatureException')
  const token = headers['x-amz-security-token']
  if (accessKeyId !== account.accessKeyId || token !== account.sessionToken || region !== REGION)
    return fail('UnrecognizedClientException')
  const date = String(headers['x-amz-date'])
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  const at = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)
  if (!(Math.abs(Date.now() - at) < 300_000) || !date.startsWith(day)) return fail('InvalidSignatureException')
  const lines = names.map(name => `${name}:${String(headers[name]).trim()}\n`).join('')
  const canonical = [method, path, '', lines, signed, sha256(body)].join('\n')
  const scope = `${day}/${region}/kms/aws4_request`
  const derived = hmac(hmac(hmac(hmac(`AWS4${account.secretAccessKey}`, day), region), 'kms'), 'aws4_request')
  const expected = hmac(derived, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex')
  return expected === signature ? undefined : fail('InvalidSignatureException')
}

type Body = { KeyId?: string; Plaintext?: string; CiphertextBlob?: string; EncryptionContext?: Record<string, string> }

function act(keys: Map<string, Key>, { method, path, headers, body }: FakeRequest): FakeAnswer {
  if (method !== 'POST' || path !== '/' || headers['content-type'] !== 'application/x-amz-json-1.1')
    return fail('UnknownOperationException')
  const asked: Body = JSON.parse(body)
  const arn = asked.KeyId ?? ''
  const key = keys.get(arn)
  if (!key) return fail('NotFoundException')
  const context = Buffer.from(JSON.stringify(Object.entries(asked.EncryptionContext ?? {}).sort()))
  switch (headers['x-amz-target']) {
    case 'TrentService.DescribeKey':
      return { status: 200, body: { KeyMetadata: { KeyState: key.state, KeyUsage: 'ENCRYPT_DECRYPT' } } }
    case 'TrentService.Encrypt': {
      if (key.state !== 'Enabled') return fail('DisabledException')
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key.secret, iv).setAAD(context)
      const sealed = Buffer.concat([cipher.update(Buffer.from(asked.Plaintext ?? '', 'base64')), cipher.final()])
      const blob = Buffer.concat([Buffer.from(arn), iv, cipher.getAuthTag(), sealed])
      return { status: 200, body: { KeyId: arn, CiphertextBlob: blob.toString('base64') } }
    }
    case 'TrentService.Decrypt': {
      if (key.state !== 'Enabled') return fail('DisabledException')
      const blob = Buffer.from(asked.CiphertextBlob ?? '', 'base64')
      if (blob.subarray(0, arn.length).toString() !== arn)
        return fail(
          [...keys.keys()].includes(blob.subarray(0, arn.length).toString())
            ? 'IncorrectKeyException'
            : 'InvalidCiphertextException',
        )
      return opened(arn, key, blob.subarray(arn.length), context)
    }
    default:
      return fail('UnknownOperationException')
  }
}

function opened(arn: string, { secret }: Key, box: Buffer, context: Buffer): FakeAnswer {
  try {
    const decipher = createDecipheriv('aes-256-gcm', secret, box.subarray(0, 12)).setAAD(context)
    decipher.setAuthTag(box.subarray(12, 28))
    const plaintext = Buffer.concat([decipher.update(box.subarray(28)), decipher.final()])
    return { status: 200, body: { KeyId: arn, Plaintext: plaintext.toString('base64') } }
  } catch {
    return fail('InvalidCiphertextException')
  }
}
