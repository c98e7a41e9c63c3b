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
    .action(async ({ status }: { status: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/approvals', { status }), columns)
    })
  approval
    .command('grant <run-id> <step>')
    .description('say yes')
    .option('--reason <text>', 'why')
    .action(async (runId: string, stepId: string, { reason }: { reason?: string }, command: Command) => {
      await decide(command, 'grant-approval', given({ runId, stepId, reason }))
    })
  approval
    .command('deny <run-id> <step> <reason>')
    .description('say no: the run is rejected')
    .action(async (runId: string, stepId: string, reason: string, _options: object, command: Command) => {
      await decide(command, 'deny-approval', { runId, stepId, reason })
    })
}

async function decide(command: Command, name: string, data: object): Promise<void> {
  const { client, settings } = contextOf(command)
  const answer = await client.command(name, data)
  if (answer.events.length === 0) note('you have said so already')
  print(settings.output, answer)
}
