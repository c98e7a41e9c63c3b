import type { Command } from 'commander'
import { collect, contextOf, given, idOf, resourceId } from '../context.ts'
import { UsageError } from '../errors.ts'
import { type Column, note, print } from '../output.ts'
import { pairOf, pairText, scopesOf, scopeText } from '../scopes.ts'
import { wholeNumber } from '../values.ts'

const accountColumns: Column[] = [
  ['id', r => r.serviceAccountId],
  ['name', r => r.name],
  ['status', r => r.status],
  ['owner', r => (r.owner ? `${pairText(r.owner)}${r.ownerless ? ' (has left)' : ''}` : 'nobody')],
  ['description', r => r.description],
]
const keyColumns: Column[] = [
  ['id', r => r.keyId],
  ['name', r => r.name],
  ['owner', r => r.owner],
  ['status', r => r.status],
  ['on', r => (Array.isArray(r.scopes) ? r.scopes.map(scopeText).join(' ') : 'all of its owner')],
  ['expires', r => r.expiresAt],
  ['last used', r => r.lastUsedAt],
]
const sessionColumns: Column[] = [
  ['id', r => r.sessionId],
  ['user', r => r.userId],
  ['status', r => r.status],
  ['began', r => r.startedAt],
  ['last used', r => r.lastUsedAt],
  ['from', r => r.ip],
  ['second factor', r => r.mfa],
]

export function serviceAccountCommand(program: Command): void {
  const account = program.command('service-account').description('programs that act in their own right')
  account
    .command('create <name>')
    .description('let a program act, by API keys')
    .option('--description <text>', 'what it is for')
    .option('--owner <user:id|group:id>', 'who answers for it (default: who creates it)')
    .action(async (name: string, options: { description?: string; owner?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      const owner = options.owner === undefined ? undefined : pairOf(options.owner)
      const answer = await client.command('create-service-account', given({ ...options, name, owner }))
      print(settings.output, { serviceAccountId: resourceId(answer), ...answer })
    })
  account
    .command('list')
    .description('list service accounts')
    .action(async (_options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/service-accounts'), accountColumns)
    })
  account
    .command('transfer <id|name> <owner> <reason>')
    .description('say who answers for it from now on: user:<id> or group:<id>')
    .action(async (idOrName: string, owner: string, reason: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const serviceAccountId = await idOf(client, 'service-accounts', idOrName)
      const data = { serviceAccountId, owner: pairOf(owner), reason }
      print(settings.output, await client.command('transfer-service-account', data))
    })
  for (const [verb, name] of [
    ['disable', 'disable-service-account'],
    ['enable', 'enable-service-account'],
  ] as const)
    account
      .command(`${verb} <id|name> <reason>`)
      .description(verb === 'disable' ? 'let it act no more' : 'let it act again')
      .action(async (idOrName: string, reason: string, _options: object, command: Command) => {
        const { client, settings } = contextOf(command)
        const serviceAccountId = await idOf(client, 'service-accounts', idOrName)
        print(settings.output, await client.command(name, { serviceAccountId, reason }))
      })
}

type IssueOptions = {
  user?: string
  serviceAccount?: string
  permission?: string[]
  labels?: string[]
  on?: string[]
  expires?: number
}

export function apiKeyCommand(program: Command): void {
  const key = program.command('api-key').description('keys of users and service accounts')
  key
    .command('issue <name>')
    .description('issue a key; it is shown once')
    .option('--service-account <id|name>', 'whose key it is')
    .option('--user <id>', 'whose key it is; without either: one’s own')
    .option('--permission <permission>', 'only this of what its owner may, repeatable', collect)
    .option('--labels <expression>', 'only on targets with these tags, for example env=prod, repeatable', collect)
    .option('--on <kind:id>', 'only on one thing, for example job:nightly, repeatable', collect)
    .option('--expires <seconds>', 'how long it is good for (default: 90 days)', wholeNumber)
    .action(async (name: string, options: IssueOptions, command: Command) => {
      const { client, settings } = contextOf(command)
      const { user, serviceAccount, permission, expires } = options
      if (user !== undefined && serviceAccount !== undefined) throw new UsageError('a key has one owner')
      const scopes = await scopesOf(client, options)
      const asked = given({ name, permissions: permission, scopes, expiresSeconds: expires })
      const id = serviceAccount === undefined ? user : await idOf(client, 'service-accounts', serviceAccount)
      const owner = id === undefined ? undefined : { kind: user === undefined ? 'service-account' : 'user', id }
      const answer = owner
        ? await client.command('issue-api-key', { ...asked, owner })
        : await client.post<object>('/v1/auth/api-keys/issue', asked)
      print(settings.output, answer)
      note('The key is shown once.')
    })
  key
    .command('list')
    .description('list keys')
    .option('--status <status>', 'active or revoked')
    .option('--own', 'one’s own only')
    .action(async ({ own, ...options }: { status?: string; own?: true }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list(own ? '/v1/auth/api-keys' : '/v1/api-keys', options), keyColumns)
    })
  key
    .command('revoke <id> <reason>')
    .description('let a key in no more')
    .action(async (keyId: string, reason: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.command('revoke-api-key', { keyId, reason }))
    })
}

export function sessionCommand(program: Command): void {
  const session = program.command('session').description('who is signed in, and from where')
  session
    .command('list')
    .description('list one’s own sessions')
    .option('--all', 'those of everybody')
    .action(async ({ all }: { all?: true }, command: Command) => {
      const { client, settings } = contextOf(command)
      const path = all ? '/v1/sessions' : '/v1/auth/sessions'
      print(settings.output, await client.list(path, { status: 'active' }), sessionColumns)
    })
  session
    .command('revoke <id> [reason]')
    .description('end a session: one’s own, or with a reason anybody’s')
    .action(async (sessionId: string, reason: string | undefined, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const answer =
        reason === undefined
          ? await client.post<object>('/v1/auth/sessions/end', { sessionId })
          : await client.command('revoke-session', { sessionId, reason })
      print(settings.output, answer)
    })
}
