import type { Command } from 'commander'
import { contextOf, given, idOf, resourceId } from '../context.ts'
import { UsageError } from '../errors.ts'
import { type Column, print } from '../output.ts'
import { readObject } from '../values.ts'

const columns: Column[] = [
  ['id', r => r.jobId],
  ['name', r => r.name],
  ['version', r => r.latestVersion],
  ['steps', r => (Array.isArray(r.steps) ? r.steps.length : undefined)],
  ['selection', r => (r.selection as { labels?: string } | null)?.labels],
  ['status', r => r.status],
]

type Definition = { file?: string; command?: string; labels?: string; credential?: string }

/** Either a whole definition from a file, or the one-command job that most begin with. */
function definitionFrom(options: Definition): Record<string, unknown> {
  if ((options.file === undefined) === (options.command === undefined)) {
    throw new UsageError('give either --file <job.yaml> or --command <text>')
  }
  const base = options.file
    ? readObject(options.file)
    : { steps: [{ id: 'command', uses: 'ssh.command', with: { command: options.command } }] }
  return { ...base, ...(options.labels && { selection: { labels: options.labels } }) }
}

const withDefinition = (command: Command) =>
  command
    .option('-f, --file <job.yaml>', 'steps and selection in YAML or JSON, - for standard input')
    .option('--command <text>', 'a job of this one shell command')
    .option('--labels <expression>', 'run it on these targets unless told otherwise')
    .option('--credential <id|name>', 'log in with this credential instead of the target’s own')

export function jobCommand(program: Command): void {
  const job = program.command('job').description('what can be run')
  withDefinition(job.command('create [name]'))
    .description('define a job and publish its version 1')
    .option('--description <text>', 'what it is for')
    .action(async (title: string | undefined, options: Definition & { description?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      const definition = definitionFrom(options)
      const name = title ?? definition.name
      if (name === undefined) throw new UsageError('name the job, or let its file have a name')
      const credentialId = options.credential && (await idOf(client, 'credentials', options.credential))
      const answer = await client.command('define-job', {
        ...definition,
        name,
        ...given({ description: options.description, credentialId }),
      })
      print(settings.output, { jobId: resourceId(answer), ...answer })
    })
  withDefinition(job.command('publish <id|name>'))
    .description('publish the next version')
    .option('--reason <text>', 'why')
    .action(async (idOrName: string, options: Definition & { reason?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      const jobId = await idOf(client, 'jobs', idOrName)
      const credentialId = options.credential && (await idOf(client, 'credentials', options.credential))
      // A file that a job was created from holds what only a new job takes.
      const { name: _, description: __, ...rest } = definitionFrom(options)
      print(
        settings.output,
        await client.command('publish-job-version', {
          ...rest,
          jobId,
          ...given({ reason: options.reason, credentialId }),
        }),
      )
    })
  for (const verb of ['disable', 'archive'] as const) {
    job
      .command(`${verb} <id|name> <reason>`)
      .description(verb === 'disable' ? 'refuse new runs' : 'retire it for good')
      .action(async (idOrName: string, reason: string, _options: object, command: Command) => {
        const { client, settings } = contextOf(command)
        print(
          settings.output,
          await client.command(`${verb}-job`, { jobId: await idOf(client, 'jobs', idOrName), reason }),
        )
      })
  }
  job
    .command('enable <id|name>')
    .description('let it run again')
    .action(async (idOrName: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.command('enable-job', { jobId: await idOf(client, 'jobs', idOrName) }))
    })
  job
    .command('list')
    .description('list jobs')
    .option('--status <status>', 'enabled, disabled or archived')
    .action(async (options: { status?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/jobs', options), columns)
    })
  job
    .command('show <id|name>')
    .description('show one job')
    .option('--as-of <instant|@position>', 'as it was then')
    .action(async (idOrName: string, options: { asOf?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(
        settings.output,
        await client.get(`/v1/jobs/${await idOf(client, 'jobs', idOrName)}`, { asOf: options.asOf }),
      )
    })
}
