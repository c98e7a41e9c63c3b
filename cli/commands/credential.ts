import type { Command } from 'commander'
import { contextOf, given, idOf, resourceId } from '../context.ts'
import { UsageError } from '../errors.ts'
import { type Column, print } from '../output.ts'
import { readText } from '../values.ts'

const columns: Column[] = [
  ['id', r => r.credentialId],
  ['name', r => r.name],
  ['kind', r => r.kind],
  ['username', r => r.username],
  ['version', r => r.latestVersion],
  ['status', r => r.status],
]

type SecretOptions = { privateKey?: string; passphraseFile?: string; passwordFile?: string }

/** Secrets come from files or standard input, never from an argument: arguments are visible to everyone on the machine. */
function secretFrom(options: SecretOptions): object {
  if ((options.privateKey === undefined) === (options.passwordFile === undefined)) {
    throw new UsageError('give either --private-key <file> or --password-file <file> (- reads standard input)')
  }
  if (options.passwordFile !== undefined)
    return { kind: 'password', password: readText(options.passwordFile).replace(/\r?\n$/, '') }
  const passphrase = options.passphraseFile && readText(options.passphraseFile).replace(/\r?\n$/, '')
  return given({ kind: 'ssh-key', privateKey: readText(options.privateKey ?? '-'), passphrase })
}

const withSecret = (command: Command) =>
  command
    .option('--private-key <file>', 'an SSH private key, - for standard input')
    .option('--passphrase-file <file>', 'the passphrase of that key')
    .option('--password-file <file>', 'a password, - for standard input')

export function credentialCommand(program: Command): void {
  const credential = program.command('credential').description('secrets that can be used but never read back')
  withSecret(credential.command('create <name>'))
    .description('store a secret in the vault')
    .requiredOption('--username <login>', 'who it logs in as')
    .option('--description <text>', 'what it is for')
    .action(
      async (name: string, options: SecretOptions & { username: string; description?: string }, command: Command) => {
        const { client, settings } = contextOf(command)
        const { username, description } = options
        const answer = await client.command(
          'create-credential',
          given({ name, username, description, secret: secretFrom(options) }),
        )
        print(settings.output, { credentialId: resourceId(answer), ...answer })
      },
    )
  withSecret(credential.command('add-version <id|name>'))
    .description('replace the secret')
    .option('--reason <text>', 'why')
    .action(async (idOrName: string, options: SecretOptions & { reason?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      const credentialId = await idOf(client, 'credentials', idOrName)
      print(
        settings.output,
        await client.command(
          'add-credential-version',
          given({ credentialId, secret: secretFrom(options), reason: options.reason }),
        ),
      )
    })
  credential
    .command('revoke <id|name> <reason>')
    .description('never release it again')
    .action(async (idOrName: string, reason: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(
        settings.output,
        await client.command('revoke-credential', {
          credentialId: await idOf(client, 'credentials', idOrName),
          reason,
        }),
      )
    })
  credential
    .command('list')
    .description('list credentials')
    .option('--status <status>', 'active or revoked')
    .action(async (options: { status?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/credentials', options), columns)
    })
  credential
    .command('show <id|name>')
    .description('show one credential (never its secret)')
    .action(async (idOrName: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.get(`/v1/credentials/${await idOf(client, 'credentials', idOrName)}`))
    })
}
