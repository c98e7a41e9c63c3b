import type { Command } from 'commander'
import { contextOf } from '../context.ts'
import { ApiProblem, UsageError } from '../errors.ts'
import { byProvider } from '../oidc.ts'
import { note, print } from '../output.ts'
import { readSecrets } from '../secret-input.ts'
import { authStep, currentToken, type NextStep } from '../signed-in.ts'
import { writeTokens } from '../tokens.ts'
import { wholeNumber } from '../values.ts'

type How = { link?: true; oidc?: true; timeout: number }

/** Who one is here: signing in, signing out, and asking. Secrets come from a prompt or standard input, never an argument. */
export function loginCommands(program: Command): void {
  program
    .command('login [login-name]')
    .description('sign in; the passphrase is asked for, or read from standard input')
    .option('--link', 'set a passphrase by a link from an administrator')
    .option('--oidc', 'sign in by the OpenID provider, in a browser on this machine')
    .option('--timeout <seconds>', 'how long to wait for the browser', wholeNumber, 300)
    .action(async (loginName: string | undefined, how: How, command: Command) => {
      const { settings } = contextOf(command)
      const { url } = settings
      let step = await first(url, loginName, how)
      while (step.status !== 'signed-in') step = await next(url, step)
      writeTokens(process.env, url, step)
      print(settings.output, { userId: step.userId, url, until: step.sessionExpiresAt })
    })
  program
    .command('logout')
    .description('end this session')
    .action(async (_options: object, command: Command) => {
      const { url } = contextOf(command).settings
      const token = await currentToken(process.env, url)
      if (token !== undefined)
        await authStep(url, 'sign-out', {}, token).catch(error => {
          // It has ended by itself.
          if (!(error instanceof ApiProblem) || error.problem.status !== 401) throw error
        })
      writeTokens(process.env, url, undefined)
      note(token === undefined ? 'nobody was signed in' : 'signed out')
    })
  program
    .command('whoami')
    .description('who the API takes one for')
    .action(async (_options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.get('/v1/auth/me'))
    })
}

async function first(url: string, loginName: string | undefined, how: How): Promise<NextStep> {
  if ([loginName !== undefined, how.link, how.oidc].filter(Boolean).length > 1)
    throw new UsageError('a login name, --link or --oidc: one of them')
  if (how.oidc) return await byProvider(url, how.timeout)
  return how.link ? await byLink(url) : await byPassphrase(url, loginName)
}

async function byPassphrase(url: string, given: string | undefined): Promise<NextStep> {
  const [first = '', second = ''] = await readSecrets(
    given === undefined ? ['Login name', 'Passphrase'] : ['Passphrase'],
  )
  const [loginName, passphrase] = given === undefined ? [first, second] : [given, first]
  return await authStep(url, 'sign-in', { loginName, passphrase })
}

async function byLink(url: string): Promise<NextStep> {
  const [link = '', passphrase = ''] = await readSecrets(['Link', 'New passphrase, at least 15 characters'])
  return await authStep(url, 'link', { link, passphrase })
}

/** A recovery code has letters in it, a code of an authenticator has not. */
async function next(url: string, step: Exclude<NextStep, { status: 'signed-in' }>): Promise<NextStep> {
  const { challenge } = step
  if (step.status === 'passphrase-change-needed') {
    const [passphrase = ''] = await readSecrets(['An administrator asks for a new passphrase'])
    return await authStep(url, 'required-passphrase', { challenge, passphrase })
  }
  const [code = ''] = await readSecrets(['Code of your authenticator, or a recovery code'])
  const isCode = /^\d{6}$/.test(code)
  return await authStep(url, 'second-factor', { challenge, ...(isCode ? { code } : { recoveryCode: code }) })
}
