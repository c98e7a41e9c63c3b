import { type Command, Option } from 'commander'
import { collect, contextOf, given, resourceId } from '../context.ts'
import { type Column, print } from '../output.ts'
import { pairOf, pairText, resourceOf, type ScopeOptions, scopeOf, scopeText } from '../scopes.ts'

const columns: Column[] = [
  ['id', r => r.grantId],
  ['to', r => pairText(r.principal)],
  ['role', r => r.role],
  ['on', r => scopeText(r.scope)],
  ['until', r => r.expiresAt],
  ['status', r => r.status],
]
const considered: Column[] = [
  ['grant', r => r.grantId],
  ['role', r => r.role],
  ['by group', r => r.via],
  ['on', r => r.scope],
  ['until', r => r.until],
  ['verdict', r => r.verdict],
]
const people: Column[] = [
  ['who', r => pairText(r.principal)],
  ['role', r => r.role],
  ['by group', r => r.via],
  ['grant', r => r.grantId],
  ['until', r => r.until],
  ['break-glass', r => r.breakGlass],
]

export function accessCommands(program: Command): void {
  grantCommand(program)
  roleCommand(program)
  groupCommand(program)
  questions(program)
}

function grantCommand(program: Command): void {
  const grant = program.command('grant').description('who was given which role, where')
  grant
    .command('create <principal> <role>')
    .description('give a role to user:<id>, service-account:<id>, group:<id> or api-key:<id>')
    .requiredOption('--reason <text>', 'why')
    .option('--labels <expression>', 'only on targets with these tags, for example env=prod')
    .option('--on <kind:id>', 'only on one thing, for example job:nightly')
    .option('--until <instant>', 'ends by itself, for example 2030-01-31T18:00:00Z')
    .action(
      async (
        who: string,
        role: string,
        options: ScopeOptions & { reason: string; until?: string },
        command: Command,
      ) => {
        const { client, settings } = contextOf(command)
        const { reason, until: expiresAt } = options
        const scope = await scopeOf(client, options)
        const answer = await client.command(
          'grant-role',
          given({ principal: pairOf(who), role, scope, reason, expiresAt }),
        )
        print(settings.output, { grantId: resourceId(answer), ...answer })
      },
    )
  grant
    .command('revoke <id> <reason>')
    .description('take it back, at once')
    .action(async (grantId: string, reason: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.command('revoke-role', { grantId, reason }))
    })
  grant
    .command('list')
    .description('list grants, now or as of any moment')
    .option('--as-of <when>', 'an instant or @position')
    .addOption(new Option('--status <status>').choices(['active', 'revoked', 'expired']))
    .action(async ({ asOf, status }: { asOf?: string; status?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/grants', given({ asOf, status })), columns)
    })
}

function roleCommand(program: Command): void {
  const role = program.command('role').description('named sets of permissions')
  const write = (usage: string, description: string, name: 'define-role' | 'change-role') =>
    role
      .command(usage)
      .description(description)
      .requiredOption('--permission <name>', 'repeatable, for example run:trigger', collect)
      .action(async (id: string, { permission }: { permission: string[] }, command: Command) => {
        const { client, settings } = contextOf(command)
        print(settings.output, await client.command(name, { role: id, permissions: permission }))
      })
  write('define <name>', 'define a role', 'define-role')
  write('change <name>', 'say anew what it permits, for everybody who has it', 'change-role')
  role
    .command('retire <name> <reason>')
    .description('take it out of use: its grants give nothing any more')
    .action(async (id: string, reason: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.command('retire-role', { role: id, reason }))
    })
  role
    .command('list')
    .description('list the roles that were defined; the built-in ones are in docs/access-matrix.md')
    .action(async (_options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const shown: Column[] = [
        ['role', r => r.role],
        ['status', r => r.status],
        ['permissions', r => (Array.isArray(r.permissions) ? r.permissions.join(' ') : '')],
      ]
      print(settings.output, await client.list('/v1/roles', {}), shown)
    })
}

function groupCommand(program: Command): void {
  const group = program.command('group').description('users and service accounts that get roles together')
  group
    .command('create <name>')
    .description('name a group')
    .action(async (name: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const answer = await client.command('create-group', { name })
      print(settings.output, { groupId: resourceId(answer), ...answer })
    })
  const change = (usage: string, description: string, name: string) =>
    group
      .command(usage)
      .description(description)
      .action(async (groupId: string, member: string, _options: object, command: Command) => {
        const { client, settings } = contextOf(command)
        print(settings.output, await client.command(name, { groupId, member: pairOf(member) }))
      })
  change('add <id> <member>', 'put user:<id> or service-account:<id> into it', 'add-to-group')
  change('remove <id> <member>', 'take somebody out of it', 'remove-from-group')
  group
    .command('list')
    .description('list groups with who is in them')
    .action(async (_options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const shown: Column[] = [
        ['id', r => r.groupId],
        ['name', r => r.name],
        ['members', r => (Array.isArray(r.members) ? r.members.map(pairText).join(' ') : '')],
      ]
      print(settings.output, await client.list('/v1/groups', {}), shown)
    })
}

type Question = { on?: string; as?: string; asOf?: string }

function questions(program: Command): void {
  const access = program.command('access').description('who may do what, and why')
  access
    .command('explain <permission>')
    .description('why somebody may do something, or may not; without --as, you')
    .option('--on <kind:id>', 'what it is about, for example job:nightly')
    .option('--as <principal>', 'who, for example user:<id>')
    .option('--as-of <when>', 'an instant or @position')
    .action(async (permission: string, { on, as: principal, asOf }: Question, command: Command) => {
      const { client, settings } = contextOf(command)
      const resource = on === undefined ? undefined : pairText(await resourceOf(client, on))
      const asked = { permission, resource, principal, asOf }
      const answer = await client.get<Record<string, unknown>>('/v1/access/explain', asked)
      if (settings.output !== 'table') return print(settings.output, answer)
      const { considered: grants, ...verdict } = answer
      print(settings.output, verdict)
      if (Array.isArray(grants) && grants.length > 0) print(settings.output, grants, considered)
    })
  access
    .command('who-can <permission>')
    .description('everybody who may do something')
    .option('--on <kind:id>', 'what it is about, for example job:nightly')
    .option('--as-of <when>', 'an instant or @position')
    .action(async (permission: string, { on, asOf }: Question, command: Command) => {
      const { client, settings } = contextOf(command)
      const resource = on === undefined ? undefined : pairText(await resourceOf(client, on))
      const asked = { permission, resource, asOf }
      const { items } = await client.get<{ items: Array<Record<string, unknown>> }>('/v1/access/who-can', asked)
      print(settings.output, items, people)
    })
}
