import type { SecretMaterial } from '../schemas/credential.ts'
import { clientCertificateProblem } from './shapes/client-certificate.ts'
import { keyProblem } from './shapes/pem.ts'
import { authorityProblem } from './ssh/authority.ts'

/** RFC 6750 section 2.1 and what else is sent in a header: printable, no blanks. */
const TOKEN = /^[\x21-\x7e]+$/

/**
 * Says what is wrong with a secret that fits its schema, or undefined. A public key, half a file or a key of another
 * certificate is refused when it is given, not when it is first used. Never quotes the secret.
 */
export function shapeProblem(secret: SecretMaterial): string | undefined {
  switch (secret.kind) {
    case 'password':
    case 'windows-password':
      return secret.password.includes('\0') ? 'the password holds a NUL character' : undefined
    case 'ssh-key':
      return keyProblem(secret.privateKey, secret.passphrase !== undefined)
    case 'ssh-certificate':
      return authorityProblem(secret)
    case 'client-certificate':
      return clientCertificateProblem(secret)
    case 'api-token':
      return TOKEN.test(secret.token) ? undefined : 'a token is one line of printable characters without blanks'
    case 'generic':
    case 'external':
      return undefined
  }
}
