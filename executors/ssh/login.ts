import { createPrivateKey, sign } from 'node:crypto'
import ssh2, { type AnyAuthMethod, type AuthHandlerMiddleware, type ParsedKey } from 'ssh2'
import type { UsableSecret } from '../../schemas/credential.ts'
import { secretDigest } from '../output/secret-masks.ts'
import { Shared } from '../shared.ts'
import { certificateKey } from './certificate.ts'
import { SshFailure } from './failure.ts'

const keys = new Shared<ParsedKey>()

/**
 * How to log in with a secret: with a key just that; with a password first plainly, then, where the server only knows
 * the dialogue for it, by answering one hidden question. `release` when the login is over. Throws SshFailure for a key
 * that cannot be used.
 */
export function loginWith(username: string, secret: UsableSecret): { methods: AnyAuthMethod[]; release(): void } {
  switch (secret.kind) {
    case 'ssh-key': {
      const { value: key, release } = keys.take(secretDigest(secret), () => readKey(secret))
      return { methods: [{ type: 'publickey', username, key }], release }
    }
    case 'password': {
      const { password } = secret
      const dialogue: AnyAuthMethod = {
        type: 'keyboard-interactive',
        username,
        // Anything but one question whose answer is not shown is not the password prompt.
        prompt: (_name, _instructions, _language, prompts, finish) => {
          const [only] = prompts
          finish(prompts.length === 1 && only?.echo !== true ? [password] : prompts.map(() => ''))
        },
      }
      return { methods: [{ type: 'password', username, password }, dialogue], release: () => undefined }
    }
    case 'ssh-certificate':
      return { methods: [{ type: 'publickey', username, key: certificateKey(secret) }], release: () => undefined }
    case 'windows-password':
    case 'client-certificate':
    case 'api-token':
    case 'generic':
      throw new SshFailure('credential-unavailable', `a credential of the kind ${secret.kind} does not log in over SSH`)
  }
}

function readKey({ privateKey, passphrase }: Extract<UsableSecret, { kind: 'ssh-key' }>): ParsedKey {
  const parsed = ssh2.utils.parseKey(privateKey, passphrase)
  if (parsed instanceof Error || !parsed.isPrivateKey()) {
    throw new SshFailure(
      'auth-failed',
      'the private key cannot be read: not an OpenSSH or PEM key, or a wrong passphrase',
    )
  }
  return parsed.type === 'ssh-ed25519' ? signingAtOnce(parsed) : parsed
}

/** ssh2 reads its PEM anew for every signature, which costs ten times the signature. Ed25519 names no hash to sign with. */
function signingAtOnce(parsed: ParsedKey): ParsedKey {
  const key = createPrivateKey(parsed.getPrivatePEM())
  const signs: Pick<ParsedKey, 'sign'> = {
    sign: data => sign(null, typeof data === 'string' ? Buffer.from(data) : data, key),
  }
  return Object.assign(Object.create(parsed), signs)
}

/** Asks for the secret when the server's key has been accepted and not before; then tries each method once. */
export function authHandler(
  methods: () => Promise<AnyAuthMethod[]>,
  failed: (error: unknown) => void,
): AuthHandlerMiddleware {
  let waiting: AnyAuthMethod[] | undefined
  return (methodsLeft, _partial, next) => {
    const tryNext = () => {
      const method = waiting?.find(each => !methodsLeft || methodsLeft.includes(each.type))
      waiting = method ? waiting?.slice(waiting.indexOf(method) + 1) : []
      // ssh2 takes `false` for "no more", which its types leave out.
      next((method ?? false) as AnyAuthMethod)
    }
    if (waiting) return tryNext()
    methods().then(found => {
      waiting = found
      tryNext()
    }, failed)
  }
}
