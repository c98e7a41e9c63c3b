import type { Command } from 'commander'
import type { Client } from '../client.ts'
import { contextOf, given, resourceId } from '../context.ts'
import { NotFound } from '../errors.ts'
import { type Column, note, print } from '../output.ts'

const columns: Column[] = [
  ['id', r => r.userId],
  ['login name', r => r.loginName],
  ['name', r => r.displayName],
  ['status', r => r.status],
  ['second factor', r => r.secondFactor],
  ['locked until', r => r.lockedUntil],
]
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** A user by id, or by the login name, which only the vault can look up. */
async function userId(client: Client, idOrLogin: string): Promise<string> {
  if (UUID.test(idOrLogin)) return idOrLogin
  const [found] = await client.list<{ userId: string }>('/v1/users', { loginName: idOrLogin })
  if (!found) throw new NotFound(`there is no user ${idOrLogin}; see \`opsconductor user list\``)
  return found.userId
}

type Person = { displayName?: string; email?: string }

export function userCommand(program: Command): void {
  const user = program.command('user').description('who may sign in')
  user
    .command('create <login-name>')
    .description('invite somebody; the link that is shown lets them set their passphrase, once')
    .option('--name <name>', 'what they are called')
    .option('--email <address>', 'where they are written to')
    .action(async (loginName: string, { name, email }: { name?: string; email?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      const person: Person = given({ displayName: name, email })
      const answer = await client.command('create-user', { loginName, ...person })
      print(settings.output, { userId: resourceId(answer), ...answer })
      note('The link is shown once. Hand it over by a way that nobody else reads: `opsconductor login --link`.')
    })
  user
    .command('list')
    .description('list users')
    .option('--status <status>', 'invited, active, deactivated or erased')
    .action(async (options: { status?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/users', options), columns)
    })
  user
    .command('show <id|login-name>')
    .description('show one user')
    .action(async (who: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.get(`/v1/users/${await userId(client, who)}`))
    })
  const change = (usage: string, description: string, name: string) =>
    user
      .command(`${usage} <id|login-name> <reason>`)
      .description(description)
      .action(async (who: string, reason: string, _options: object, command: Command) => {
        const { client, settings } = contextOf(command)
        print(settings.output, await client.command(name, { userId: await userId(client, who), reason }))
      })
  change('disable', 'let somebody in no more; sessions and keys stop at once', 'deactivate-user')
  change('enable', 'let somebody in again', 'reactivate-user')
  change('reset-link', 'let somebody set a new passphrase by a link that is shown once', 'create-reset-link')
  change('require-change', 'let somebody in only after a new passphrase', 'require-passphrase-change')
  change('unlock', 'let somebody try again at once', 'unlock-user')
  change('reset-second-factor', 'take away second factors that are lost', 'remove-second-factors')
  change('hold', 'place a legal hold on their personal data', 'place-legal-hold')
  change('release', 'release the legal hold', 'release-legal-hold')
  change('erase', 'destroy their personal data for good', 'erase-personal-data')
}
