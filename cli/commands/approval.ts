import type { Command } from 'commander'
import { contextOf, given } from '../context.ts'
import { type Column, note, print } from '../output.ts'

const columns: Column[] = [
  ['run', r => r.runId],
  ['step', r => r.stepId],
  ['job', r => r.jobName],
  ['targets', r => r.targets],
  ['asked by', r => (r.initiator as { id?: string } | undefined)?.id],
  ['granted', r => `${r.granted} of ${r.quorum}`],
  ['expires', r => r.expiresAt],
  ['prompt', r => r.prompt],
]

/** What runs ask a person for. */
export function approvalCommand(program: Command): void {
  const approval = program.command('approval').description('say yes or no to what runs ask for')
  approval
    .command('list')
    .description('list approvals, the longest waiting first')
    .option('--status <status>', 'pending, passed, denied, expired or withdrawn', 'pending')
    .option('--mine', 'only what is asked of me')
    .action(async ({ status, mine }: { status: string; mine?: true }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/approvals', given({ status, mine: mine && 'true' })), columns)
    })
  approval
    .command('show <run-id> [step]')
    .description('what is to be agreed to, as far as it is known: commands, targets, credentials')
    .action(async (runId: string, stepId: string | undefined, _options: object, command: Command) => {
      const { settings } = contextOf(command)
      const all = await pending(command, runId)
      const wanted = all.filter(each => stepId === undefined || each.stepId === stepId)
      print(settings.output === 'table' ? 'yaml' : settings.output, wanted)
    })
  approval
    .command('approve <run-id> <step>')
    .alias('grant')
    .description('say yes to what is shown, or to exactly what was shown with this digest')
    .option('--digest <sha256>', 'of what you agree to; without it, of what is asked for now')
    .option('--reason <text>', 'why')
    .action(async (runId: string, stepId: string, options: { reason?: string; digest?: string }, command: Command) => {
      const { reason } = options
      const digest = options.digest ?? (await pending(command, runId)).find(each => each.stepId === stepId)?.digest
      await decide(command, 'grant-approval', given({ runId, stepId, digest: digest ?? undefined, reason }))
    })
  approval
    .command('delegate <run-id> <step> <user-id>')
    .description('leave it to another user, who must be permitted to approve')
    .option('--reason <text>', 'why')
    .action(async (runId: string, stepId: string, id: string, { reason }: { reason?: string }, command: Command) => {
      await decide(command, 'delegate-approval', given({ runId, stepId, to: { kind: 'user', id }, reason }))
    })
  approval
    .command('deny <run-id> <step> <reason>')
    .description('say no: the run is rejected')
    .action(async (runId: string, stepId: string, reason: string, _options: object, command: Command) => {
      await decide(command, 'deny-approval', { runId, stepId, reason })
    })
}

type Pending = { runId: string; stepId: string; digest?: string | null }

async function pending(command: Command, runId: string): Promise<Pending[]> {
  return await contextOf(command).client.list<Pending>('/v1/approvals', { status: 'pending', runId })
}

async function decide(command: Command, name: string, data: object): Promise<void> {
  const { client, settings } = contextOf(command)
  const answer = await client.command(name, data)
  if (answer.events.length === 0) note('you have said so already')
  print(settings.output, answer)
}
