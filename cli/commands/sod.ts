import type { Command } from 'commander'
import { collect, contextOf, given } from '../context.ts'
import { UsageError } from '../errors.ts'
import { type Column, print } from '../output.ts'

const rules: Column[] = [
  ['rule', r => r.rule],
  ['mode', r => r.mode],
  ['status', r => r.status],
  ['not for one person', r => r.conflict && conflictText(r.conflict as Conflict)],
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
    .alias('list')
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
    .command('define <rule>')
    .description('name two duties, or two acts about the same thing, that are not for one person')
    .requiredOption('--mode <mode>', 'block, justify (ask for --justification) or detect')
    .option(
      '--first <role|permission>',
      'one duty: who has this role, or a permission such as role:write; repeatable',
      collect,
    )
    .option('--second <role|permission>', 'the other one, repeatable', collect)
    .option('--before <act>', 'an act: author, requester or credential-writer')
    .option('--now <act>', 'the later one, about the same thing: approver, requester or author')
    .option('--targets <labels>', 'of acts about runs: only where a target has these tags')
    .option('--description <text>', 'what it is for')
    .action(async (rule: string, options: Definition, command: Command) => {
      const { mode, targets, description } = options
      const data = { rule, mode, conflict: conflictOf(options), targets, description }
      await send(command, 'define-sod-rule', given(data))
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

type Duty = { roles?: string[]; permissions?: string[] }
type Conflict = { kind: 'duties'; first: Duty; second: Duty } | { kind: 'acts'; before: string; now: string }
type Definition = {
  mode: string
  first?: string[]
  second?: string[]
  before?: string
  now?: string
  targets?: string
  description?: string
}

function conflictOf({ first, second, before, now }: Definition): Conflict {
  const duties = first !== undefined && second !== undefined
  const acts = before !== undefined && now !== undefined
  if (duties && before === undefined && now === undefined)
    return { kind: 'duties', first: dutyOf(first), second: dutyOf(second) }
  if (acts && first === undefined && second === undefined) return { kind: 'acts', before, now }
  throw new UsageError('give either --first and --second (duties) or --before and --now (acts)')
}

/** Permissions have a colon in them, roles never. */
function dutyOf(names: readonly string[]): Duty {
  const permissions = names.filter(name => name.includes(':'))
  const roles = names.filter(name => !name.includes(':'))
  return { ...(roles.length > 0 && { roles }), ...(permissions.length > 0 && { permissions }) }
}

function conflictText(conflict: Conflict): string {
  const text = ({ roles = [], permissions = [] }: Duty) => [...roles, ...permissions].join(', ')
  return conflict.kind === 'acts'
    ? `${conflict.before}, then ${conflict.now}`
    : `${text(conflict.first)} and ${text(conflict.second)}`
}

async function send(command: Command, name: string, data: object): Promise<void> {
  const { client, settings } = contextOf(command)
  print(settings.output, await client.command(name, data))
}
