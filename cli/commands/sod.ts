import type { Command } from 'commander'
import { contextOf, given } from '../context.ts'
import { type Column, print } from '../output.ts'

const rules: Column[] = [
  ['rule', r => r.rule],
  ['mode', r => r.mode],
  ['status', r => r.status],
  ['targets', r => r.targets],
  ['description', r => r.description],
]
const violations: Column[] = [
  ['id', r => r.violationId],
  ['rule', r => r.rule],
  ['who', r => r.person],
  ['outcome', r => r.outcome],
  ['times', r => r.count],
  ['waived until', r => r.waivedUntil],
  ['detail', r => r.detail],
]

/** Segregation of duties. */
export function sodCommand(program: Command): void {
  const sod = program.command('sod').description('which duties are not for one person, and what went against that')
  sod
    .command('rules')
    .description('list the rules')
    .action(async (_options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/access/sod-rules'), rules)
    })
  sod
    .command('violations')
    .description('list what people did or tried against the rules')
    .action(async (_options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/access/sod-violations'), violations)
    })
  sod
    .command('change <rule> <reason>')
    .description('change what a rule does, or where it holds')
    .option('--mode <mode>', 'block, justify or detect')
    .option('--targets <labels>', 'only where a target has these tags')
    .action(async (rule: string, reason: string, options: { mode?: string; targets?: string }, command: Command) => {
      await send(command, 'change-sod-rule', given({ rule, reason, ...options }))
    })
  sod
    .command('retire <rule> <reason>')
    .description('take a rule out of use')
    .action(async (rule: string, reason: string, _options: object, command: Command) => {
      await send(command, 'retire-sod-rule', { rule, reason })
    })
  sod
    .command('waive <violation-id> <until> <reason>')
    .description('let somebody do it until an instant; not oneself')
    .action(async (violationId: string, until: string, reason: string, _options: object, command: Command) => {
      await send(command, 'waive-sod-violation', { violationId, until, reason })
    })
}

async function send(command: Command, name: string, data: object): Promise<void> {
  const { client, settings } = contextOf(command)
  print(settings.output, await client.command(name, data))
}
