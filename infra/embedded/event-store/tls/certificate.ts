import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { der } from './der.ts'

export type Identity = { certificate: Buffer; key: Buffer; certificateFile: string }

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
}
const DAY_MS = 86_400_000
const VALID_DAYS = 3650
const RENEW_BEFORE_DAYS = 30

/** Where a client finds the certificate to trust (`tlsCAFile`), given the node's data folder. */
export const certificateFileOf = (dataDir: string) => join(dataDir, 'node.crt')

/**
 * The node's own certificate for `host` and its key, from the data folder or made anew. The client sends credentials
 * over TLS only, and trusts this certificate by `tlsCAFile`.
 */
export function nodeIdentity(dataDir: string, host: string, now = new Date()): Identity {
  const certificateFile = certificateFileOf(dataDir)
  const keyFile = join(dataDir, 'node.key')
  if (!existsSync(certificateFile) || !existsSync(keyFile) || !isUsable(certificateFile, host, now)) {
    const { certificate, key } = selfSigned(host, now)
    writeFileSync(keyFile, key, { mode: 0o600 })
    writeFileSync(certificateFile, certificate)
  }
  return { certificate: readFileSync(certificateFile), key: readFileSync(keyFile), certificateFile }
}

function isUsable(certificateFile: string, host: string, now: Date): boolean {
  try {
    const certificate = new X509Certificate(readFileSync(certificateFile))
    const isNamed = isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)
    const remaining = new Date(certificate.validTo).getTime() - now.getTime()
    return isNamed !== undefined && remaining > RENEW_BEFORE_DAYS * DAY_MS
  } catch {
    return false
  }
}

/** A self-signed P-256 certificate (RFC 5280) for a host name or address, in PEM. */
export function selfSigned(host: string, now: Date): { certificate: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const algorithm = der.sequence(der.oid(OID.ecdsaWithSha256))
  const name = der.sequence(der.set(der.sequence(der.oid(OID.commonName), der.text('OpsConductor event store'))))
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const body = der.sequence(
    der.explicit(0, der.integer(Buffer.from([2]))),
    der.integer(serial),
    algorithm,
    name,
    der.sequence(der.time(new Date(now.getTime() - DAY_MS)), der.time(new Date(now.getTime() + VALID_DAYS * DAY_MS))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, extensions(host)),
  )
  const certificate = der.sequence(body, algorithm, der.bits(sign('sha256', body, privateKey)))
  const base64 = certificate.toString('base64').replace(/.{64}/g, '$&\n')
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function extensions(host: string): Buffer {
  const extension = (oid: string, value: Buffer) => der.sequence(der.oid(oid), der.octets(value))
  return der.sequence(
    extension(OID.subjectAltName, der.sequence(alternativeName(host))),
    extension(OID.basicConstraints, der.sequence(der.boolean(true))),
    extension(OID.extendedKeyUsage, der.sequence(der.oid(OID.serverAuth))),
  )
}

// GeneralName: dNSName is [2], iPAddress is [7] with four bytes for IPv4.
function alternativeName(host: string): Buffer {
  if (isIP(host) === 4) return der.implicit(7, Buffer.from(host.split('.').map(Number)))
  return der.implicit(2, Buffer.from(host))
}
