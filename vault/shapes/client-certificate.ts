import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { SecretMaterial } from '../../schemas/credential.ts'

type ClientCertificate = Extract<SecretMaterial, { kind: 'client-certificate' }>

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** The first certificate of the chain; undefined when it cannot be read. */
function leafOf(chain: string): X509Certificate | undefined {
  try {
    const [first] = chain.match(CERTIFICATE) ?? []
    return first === undefined ? undefined : new X509Certificate(first)
  } catch {
    return undefined
  }
}

/** When it ends by its own word, as an instant. */
export function endOf({ certificate }: ClientCertificate): string | undefined {
  const leaf = leafOf(certificate)
  return leaf && new Date(leaf.validTo).toISOString()
}

export function clientCertificateProblem({ certificate, privateKey, passphrase }: ClientCertificate) {
  if (/PRIVATE KEY-----/.test(certificate)) return 'the certificate holds a private key as well: give each in its field'
  const leaf = leafOf(certificate)
  if (!leaf) return 'the certificate is not an X.509 certificate in PEM format'
  const key = keyOf(privateKey, passphrase)
  if (!key) return 'the private key is not in PEM format, or the passphrase is not its own'
  if (!leaf.checkPrivateKey(key)) return 'the private key does not belong to the certificate'
  return undefined
}

function keyOf(key: string, passphrase: string | undefined): KeyObject | undefined {
  try {
    return createPrivateKey({ key, ...(passphrase !== undefined && { passphrase }) })
  } catch {
    // Its message may tell of the key.
    return undefined
  }
}
