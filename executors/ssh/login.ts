import ssh2, { type AnyAuthMethod, type AuthHandlerMiddleware } from 'ssh2'
import type { SecretMaterial } from '../../schemas/credential.ts'
import { SshFailure } from './failure.ts'

/**
 * How to log in with a secret: with a key just that; with a password first plainly, then, where the server only knows
 * the dialogue for it, by answering one hidden question. Throws SshFailure for a key that cannot be used.
 */
export function authMethods(username: string, secret: SecretMaterial): AnyAuthMethod[] {
  switch (secret.kind) {
    case 'ssh-key': {
      const { privateKey: key, passphrase } = secret
      const parsed = ssh2.utils.parseKey(key, passphrase)
      if (parsed instanceof Error || !parsed.isPrivateKey()) {
        throw new SshFailure(
          'auth-failed',
          'the private key cannot be read: not an OpenSSH or PEM key, or a wrong passphrase',
        )
      }
      return [{ type: 'publickey', username, key, ...(passphrase === undefined ? {} : { passphrase }) }]
    }
    case 'password': {
      const { password } = secret
      return [
        { type: 'password', username, password },
        {
          type: 'keyboard-interactive',
          username,
          // Anything but one question whose answer is not shown is not the password prompt.
          prompt: (_name, _instructions, _language, prompts, finish) => {
            const [only] = prompts
            finish(prompts.length === 1 && only?.echo !== true ? [password] : prompts.map(() => ''))
          },
        },
      ]
    }
  }
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
