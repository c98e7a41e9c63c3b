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
  ['status', r => (r.status === 'active' && r.expired === true ? 'expired' : r.status)],
  ['expires', r => r.expiresAt ?? ''],
]

type SecretOptions = {
  privateKey?: string
  passphraseFile?: string
  passwordFile?: string
  windowsPasswordFile?: string
  tokenFile?: string
  valueFile?: string
  certificate?: string
  sshAuthority?: string | true
  principal?: string[]
  validSeconds?: string
  external?: string
  as?: string
}

const text = (file: string) => readText(file).replace(/\r?\n$/, '')

/** One function for each option that says which kind of secret is given. */
const kinds: Record<string, (options: SecretOptions) => object> = {
  passwordFile: o => ({ kind: 'password', password: text(o.passwordFile ?? '-') }),
  windowsPasswordFile: o => ({ kind: 'windows-password', password: text(o.windowsPasswordFile ?? '-') }),
  tokenFile: o => ({ kind: 'api-token', token: text(o.tokenFile ?? '-') }),
  valueFile: o => ({ kind: 'generic', value: readText(o.valueFile ?? '-') }),
  external: o => ({ kind: 'external', of: o.as ?? 'password', path: o.external }),
  certificate: o => ({ kind: 'client-certificate', certificate: readText(o.certificate ?? '-'), ...keyOf(o) }),
  sshAuthority: o => ({
    kind: 'ssh-certificate',
    caKey: typeof o.sshAuthority === 'string' ? readText(o.sshAuthority) : undefined,
    passphrase: o.passphraseFile && text(o.passphraseFile),
    principals: o.principal,
    validSeconds: o.validSeconds === undefined ? undefined : Number(o.validSeconds),
  }),
  privateKey: o => ({ kind: 'ssh-key', ...keyOf(o) }),
}

const keyOf = ({ privateKey, passphraseFile }: SecretOptions) => ({
  privateKey: readText(privateKey ?? '-'),
  passphrase: passphraseFile && text(passphraseFile),
})

/** Secrets come from files or standard input, never from an argument: arguments are visible to everyone on the machine. */
function secretFrom(options: SecretOptions): object {
  const named = Object.keys(kinds).filter(kind => kind in options)
  // The key of a certificate is part of it.
  const [kind = '', ...more] = named.filter(each => each !== 'privateKey' || !named.includes('certificate'))
  const make = kinds[kind]
  if (!make || more.length > 0) throw new UsageError('say what the secret is by exactly one of the options for it')
  return given(make(options))
}

const collect = (value: string, before: string[] = []) => [...before, value]

const withSecret = (command: Command) =>
  command
    .option('--private-key <file>', 'an SSH private key, - for standard input')
    .option('--passphrase-file <file>', 'the passphrase of a key')
    .option('--password-file <file>', 'a password, - for standard input')
    .option('--windows-password-file <file>', 'a password for Windows')
    .option('--token-file <file>', 'an API token')
    .option('--value-file <file>', 'any other secret')
    .option('--certificate <file>', 'a client certificate (PEM, with its chain); its key by --private-key')
    .option('--ssh-authority [file]', 'sign SSH certificates, with this key or one that the vault makes')
    .option('--principal <name>', 'of SSH certificates, repeatable; default: the user', collect)
    .option('--valid-seconds <n>', 'of SSH certificates, 60 to 86400; default 300')
    .option('--external <path>', 'read at each release: vault:<mount>/data/<path>#<field>')
    .option('--as <kind>', 'what an external secret is used as; default password')
    .option('--expires <instant>', 'not released from then on')

export function credentialCommand(program: Command): void {
  const credential = program.command('credential').description('secrets that can be used but never read back')
  withSecret(credential.command('create <name>'))
    .description('store a secret in the vault')
    .requiredOption('--username <login>', 'who it logs in as')
    .option('--description <text>', 'what it is for')
    .option('--personal', 'nobody else may see, use or change it')
    .action(
      async (
        name: string,
        options: SecretOptions & { username: string; description?: string; expires?: string; personal?: true },
        command: Command,
      ) => {
        const { client, settings } = contextOf(command)
        const { username, description, expires: expiresAt, personal } = options
        const answer = await client.command(
          'create-credential',
          given({ name, username, description, expiresAt, personal, secret: secretFrom(options) }),
        )
        print(settings.output, { credentialId: resourceId(answer), ...answer })
      },
    )
  withSecret(credential.command('add-version <id|name>'))
    .description('replace the secret')
    .option('--reason <text>', 'why')
    .action(
      async (idOrName: string, options: SecretOptions & { reason?: string; expires?: string }, command: Command) => {
        const { client, settings } = contextOf(command)
        const credentialId = await idOf(client, 'credentials', idOrName)
        print(
          settings.output,
          await client.command(
            'add-credential-version',
            given({ credentialId, secret: secretFrom(options), reason: options.reason, expiresAt: options.expires }),
          ),
        )
      },
    )
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
  credential
    .command('where-used <id|name>')
    .description('targets and jobs that name it, and runs it was released to')
    .action(async (idOrName: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.get(`/v1/credentials/${await idOf(client, 'credentials', idOrName)}/uses`))
    })
}
