import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { UsableSecret } from '../../schemas/credential.ts'
import { openAuthority, type SshAuthority } from './authority.ts'
import { string, uint32, uint64 } from './wire.ts'

/** What a certificate says, as the log tells it. */
export type CertificateFacts = { serial: string; keyId: string; principals: string[]; validBefore: string }
export type SshLogin = Extract<UsableSecret, { kind: 'ssh-certificate' }>

const TYPE = 'ssh-ed25519-cert-v01@openssh.com'
const USER = 1
/** A server whose clock is behind by less still takes it. */
const BEFORE_S = 60

/**
 * A key for one login, and a user certificate over it (OpenSSH PROTOCOL.certkeys): for these principals, valid for the
 * authority's seconds, without any extension: no forwarding, no terminal. `keyId` goes into the server's log.
 * Undefined when the authority's key cannot be used.
 */
export function makeLogin(
  authority: SshAuthority,
  of: { username: string; keyId: string; now: string },
): { login: SshLogin; facts: CertificateFacts } | undefined {
  const key = authority.caKey === undefined ? undefined : openAuthority(authority.caKey, authority.passphrase)
  if (!key) return undefined
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const { x = '' } = publicKey.export({ format: 'jwk' })
  const principals = authority.principals ?? [of.username]
  const serial = randomBytes(8).readBigUInt64BE()
  const nowS = Math.floor(Date.parse(of.now) / 1000)
  const until = nowS + authority.validSeconds
  const body = Buffer.concat([
    ...[string(TYPE), string(randomBytes(32)), string(Buffer.from(x, 'base64url'))],
    ...[uint64(serial), uint32(USER), string(of.keyId), string(Buffer.concat(principals.map(each => string(each))))],
    ...[uint64(BigInt(nowS - BEFORE_S)), uint64(BigInt(until))],
    // Critical options, extensions, reserved.
    ...[string(''), string(''), string('')],
    string(key.blob),
  ])
  const certificate = Buffer.concat([body, string(key.sign(body))]).toString('base64')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const facts = { serial: `${serial}`, keyId: of.keyId, principals, validBefore: new Date(until * 1000).toISOString() }
  return { login: { kind: 'ssh-certificate', privateKey: pem, certificate }, facts }
}
