import type { Command } from 'commander'
import { contextOf } from '../context.ts'
import { exitCode } from '../errors.ts'
import { print } from '../output.ts'

type Readiness = { status: string; checks: Array<{ name: string; ok: boolean; detail?: string }> }

export function statusCommand(program: Command): void {
  program
    .command('status')
    .description('is the system ready, and how far behind are its read models')
    .action(async (_options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const response = await fetch(`${client.url}/health/ready`).catch(() => undefined)
      const health = response && ((await response.json()) as Readiness)
      if (!health) process.exitCode = exitCode.failed
      else if (!response?.ok) process.exitCode = exitCode.failed
      print(settings.output, { url: client.url, ...(health ?? { status: 'not reachable' }) })
    })
}
