import type { Command } from 'commander'
import { commands, filterCommands } from '../../schemas/commands.ts'
import { nearest } from '../../schemas/nearest.ts'
import { contextOf } from '../context.ts'
import { UsageError } from '../errors.ts'
import { print } from '../output.ts'
import { readObject } from '../values.ts'

const all: Readonly<Record<string, { summary: string; permission: string; example: object }>> = {
  ...commands,
  ...filterCommands,
}

/** Every command of the API is reachable, also those without a subcommand of their own. */
export function genericCommand(program: Command): void {
  program
    .command('command [name]')
    .description('send any command of the API; without a name, list them')
    .option('-f, --file <file>', 'its body in YAML or JSON, - for standard input', '-')
    .option('--example', 'print an example body and send nothing')
    .action(async (name: string | undefined, options: { file: string; example?: true }, command: Command) => {
      const { client, settings } = contextOf(command)
      if (name === undefined) return list(settings.output)
      const spec = Object.hasOwn(all, name) ? all[name] : undefined
      if (!spec) throw new UsageError(`there is no command ${name}${suggestion(name)}`)
      if (options.example) return print(settings.output === 'table' ? 'yaml' : settings.output, spec.example)
      print(settings.output, await client.send<object>(name, readObject(options.file)))
    })
}

function list(output: 'table' | 'json' | 'yaml'): void {
  const rows = Object.entries(all).map(([name, { summary, permission }]) => ({ name, summary, permission }))
  print(output, rows, [
    ['command', r => r.name],
    ['summary', r => r.summary],
    ['permission', r => r.permission],
  ])
}

function suggestion(name: string): string {
  const near = nearest(name, Object.keys(all))
  return near ? `; did you mean ${near}?` : '; `opsconductor command` lists them'
}
