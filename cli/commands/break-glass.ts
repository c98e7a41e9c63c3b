import type { Command } from 'commander'
import { contextOf, given } from '../context.ts'
import { type Column, print } from '../output.ts'

const columns: Column[] = [
  ['id', r => r.breakGlassId],
  ['status', r => r.status],
  ['by', r => (r.principal as { id?: string } | undefined)?.id],
  ['ticket', r => r.ticket],
  ['until', r => r.until],
  ['reason', r => r.reason],
]

/** All rights for a short time, in an emergency. */
export function breakGlassCommand(program: Command): void {
  const glass = program.command('break-glass').description('take all rights in an emergency, and look at it afterwards')
  glass
    .command('activate <ticket> <reason>')
    .description('take all rights now; it is told at once and looked at afterwards')
    .option('--minutes <minutes>', 'for how long, at most 120', '30')
    .action(async (ticket: string, reason: string, { minutes }: { minutes: string }, command: Command) => {
      await send(command, 'activate-break-glass', { ticket, reason, minutes: Number(minutes) })
    })
  glass
    .command('end <id>')
    .description('give them back before their time')
    .option('--reason <text>', 'why')
    .action(async (breakGlassId: string, { reason }: { reason?: string }, command: Command) => {
      await send(command, 'end-break-glass', given({ breakGlassId, reason }))
    })
  glass
    .command('review <id> <verdict> <reason>')
    .description('say whether it was justified or not-justified; not about oneself')
    .action(async (breakGlassId: string, verdict: string, reason: string, _options: object, command: Command) => {
      await send(command, 'review-break-glass', { breakGlassId, verdict, reason })
    })
  glass
    .command('list')
    .description('list what is still to be looked at')
    .option('--status <status>', 'open, active, ended or reviewed', 'open')
    .action(async ({ status }: { status: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/access/break-glass', { status }), columns)
    })
}

async function send(command: Command, name: string, data: object): Promise<void> {
  const { client, settings } = contextOf(command)
  print(settings.output, await client.command(name, data))
}
