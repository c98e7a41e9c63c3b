import type { Command } from 'commander'
import { collectTag, contextOf, given, idOf, resourceId } from '../context.ts'
import { type Column, note, print } from '../output.ts'
import { wholeNumber } from '../values.ts'

const columns: Column[] = [
  ['id', r => r.targetId],
  ['name', r => r.name],
  ['address', r => `${r.address}:${r.port}`],
  ['tags', r => r.tags],
  ['host key', r => r.hostKeySource ?? r.hostKeyPolicy],
  ['status', r => r.status],
]

type CreateOptions = {
  address: string
  port?: number
  tag?: Record<string, string>
  credential?: string
  hostKey?: string
  pinned?: true
}

export function targetCommand(program: Command): void {
  const target = program.command('target').description('machines to act upon')
  target
    .command('create <name>')
    .description('register a machine')
    .requiredOption('--address <host>', 'host name or IP address')
    .option('--port <number>', 'SSH port (default 22)', wholeNumber)
    .option('--tag <key=value>', 'tag it, repeatable', collectTag)
    .option('--credential <id|name>', 'log in with this credential')
    .option('--host-key <key>', 'accept only this host key: "ssh-ed25519 AAAA…" (see ssh-keyscan)')
    .option('--pinned', 'refuse to connect until a host key is pinned, instead of trusting the first one seen')
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const { client, settings } = contextOf(command)
      const answer = await client.command(
        'create-target',
        given({
          name,
          address: options.address,
          port: options.port,
          tags: options.tag,
          hostKey: options.hostKey,
          hostKeyPolicy: options.pinned || options.hostKey ? 'pinned' : undefined,
          credentialId: options.credential && (await idOf(client, 'credentials', options.credential)),
        }),
      )
      print(settings.output, { targetId: resourceId(answer), ...answer })
    })
  target
    .command('list')
    .description('list targets')
    .option('--labels <expression>', 'for example env=prod,role in (web,db)')
    .option('--status <status>', 'active or decommissioned')
    .option('--as-of <instant|@position>', 'as it was then')
    .option('--limit <number>', 'at most so many', wholeNumber, 1000)
    .action(async (options: { labels?: string; status?: string; asOf?: string; limit: number }, command: Command) => {
      const { client, settings } = contextOf(command)
      const query = { labels: options.labels, status: options.status, asOf: options.asOf }
      print(settings.output, await client.list('/v1/targets', query, options.limit), columns)
    })
  target
    .command('show <id|name>')
    .description('show one target')
    .option('--as-of <instant|@position>', 'as it was then')
    .action(async (idOrName: string, options: { asOf?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(
        settings.output,
        await client.get(`/v1/targets/${await idOf(client, 'targets', idOrName)}`, { asOf: options.asOf }),
      )
    })
  target
    .command('blame <id|name>')
    .description('who set each field, when and why')
    .action(async (idOrName: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.get(`/v1/targets/${await idOf(client, 'targets', idOrName)}/blame`))
    })
  simple(target, 'rename <id|name> <new-name>', 'rename-target', 'give a target another name', name => ({ name }))
  simple(target, 'decommission <id|name> <reason>', 'decommission-target', 'take a target out of use', reason => ({
    reason,
  }))
  simple(target, 'reinstate <id|name> <reason>', 'reinstate-target', 'take it back into use', reason => ({ reason }))
  simple(
    target,
    'pin-host-key <id|name> <key>',
    'pin-host-key',
    'accept exactly this host key from now on',
    hostKey => ({ hostKey }),
  )
}

function simple(
  parent: Command,
  usage: string,
  name: string,
  summary: string,
  data: (argument: string) => object,
): void {
  parent
    .command(usage)
    .description(summary)
    .action(async (idOrName: string, argument: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const answer = await client.command(name, {
        targetId: await idOf(client, 'targets', idOrName),
        ...data(argument),
      })
      if (answer.events.length === 0) note('nothing to change')
      print(settings.output, answer)
    })
}
