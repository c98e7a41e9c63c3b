import { type Command, Option } from 'commander'
import { collectTag, contextOf, given } from '../context.ts'
import { type Column, note, print } from '../output.ts'
import { wholeNumber } from '../values.ts'

const columns: Column[] = [
  ['id', r => r.executorId],
  ['pool', r => r.pool],
  ['status', r => r.status],
  ['labels', r => r.labels],
  ['version', r => r.version],
  ['busy', r => (typeof r.capacity === 'number' ? `${r.busy}/${r.capacity}` : r.busy)],
  ['last seen', r => r.lastSeen],
]

type TokenOptions = { pool?: string; label?: Record<string, string>; expires?: number }

export function executorCommand(program: Command): void {
  const executor = program.command('executor').description('who does the work: enrol, drain, revoke')
  executor
    .command('list')
    .description('list executors')
    .addOption(new Option('--status <status>').choices(['invited', 'enrolled', 'draining', 'revoked']))
    .action(async (options: { status?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/executors', options), columns)
    })
  executor
    .command('show <id>')
    .description('show one executor')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.get(`/v1/executors/${encodeURIComponent(id)}`))
    })
  executor
    .command('token <id>')
    .description('let an executor of this name come in, once')
    .option('--pool <pool>', 'the pool it takes work from (default: default)')
    .option('--label <key=value>', 'label it, repeatable', collectTag)
    .option('--expires <seconds>', 'how long the token is good for (default: 3600)', wholeNumber)
    .action(async (executorId: string, { pool, label, expires }: TokenOptions, command: Command) => {
      const { client, settings } = contextOf(command)
      const asked = given({ executorId, pool, labels: label, expiresSeconds: expires })
      const answer = await client.command('create-enrolment-token', asked)
      print(settings.output, answer)
      note('The token is shown once. Give it to the executor as OPSCONDUCTOR_ENROLMENT_TOKEN_FILE.')
    })
  changes(executor)
}

function changes(executor: Command): void {
  const change = (usage: string, description: string, name: string, data: (argument: string) => object) =>
    executor
      .command(usage)
      .description(description)
      .action(async (executorId: string, ...rest: unknown[]) => {
        // Commander hands over the arguments, then the options, then the command.
        const command = rest.at(-1) as Command
        const argument = typeof rest[0] === 'string' ? rest[0] : ''
        const { client, settings } = contextOf(command)
        print(settings.output, await client.command(name, { executorId, ...data(argument) }))
      })
  change('revoke <id> <reason>', 'trust it no more', 'revoke-executor', reason => ({ reason }))
  change('drain <id> [reason]', 'give it no new work', 'drain-executor', reason =>
    given({ reason: reason || undefined }),
  )
  change('resume <id>', 'give it work again', 'resume-executor', () => ({}))
  change('move <id> <pool>', 'let it take work from another pool', 'move-executor-to-pool', pool => ({ pool }))
}
