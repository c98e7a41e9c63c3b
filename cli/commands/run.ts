import type { Command } from 'commander'
import { collect, contextOf, given, idOf, resourceId } from '../context.ts'
import { followRun } from '../follow.ts'
import { type Column, note, print } from '../output.ts'
import { wholeNumber } from '../values.ts'

const columns: Column[] = [
  ['id', r => r.runId],
  ['job', r => `${r.jobName} v${r.jobVersion}`],
  ['status', r => r.status],
  ['targets', r => r.targets],
  ['requested', r => r.requestedAt],
  ['finished', r => r.finishedAt],
]
const targetColumns: Column[] = [
  ['n', r => r.n],
  ['target', r => r.targetName ?? r.targetId],
  ['status', r => r.status],
  ['failure', r => r.failure],
  ['detail', r => r.detail],
]

type CreateOptions = { labels?: string; target?: string[]; version?: number; reason?: string; follow?: true }

export function runCommand(program: Command): void {
  const run = program.command('run').description('run jobs and watch them')
  run
    .command('create <job>')
    .alias('trigger')
    .description('run a job now')
    .option('--labels <expression>', 'on the targets that match')
    .option('--target <id|name>', 'on this target, repeatable', collect)
    .option('--version <number>', 'this job version instead of the latest', wholeNumber)
    .option('--reason <text>', 'why')
    .option('--follow', 'show output and progress, and exit with the result of the run')
    .action(async (job: string, options: CreateOptions, command: Command) => {
      const { client, settings } = contextOf(command)
      const targetIds = options.target && (await Promise.all(options.target.map(t => idOf(client, 'targets', t))))
      const selection = options.labels || targetIds ? given({ labels: options.labels, targetIds }) : undefined
      const { version, reason } = options
      const answer = await client.command(
        'trigger-run',
        given({ jobId: await idOf(client, 'jobs', job), selection, version, reason }),
      )
      const runId = resourceId(answer)
      if (!options.follow) return print(settings.output, { runId, ...answer })
      note(`run ${runId}`)
      await client.get(`/v1/runs/${runId}`, { minPosition: answer.position })
      process.exitCode = await followRun(client, runId)
    })
  run
    .command('follow <run-id>')
    .description('watch a run, from its beginning')
    .action(async (runId: string, _options: object, command: Command) => {
      process.exitCode = await followRun(contextOf(command).client, runId)
    })
  run
    .command('cancel <run-id>')
    .description('stop a run; remote processes are killed')
    .option('--reason <text>', 'why')
    .action(async (runId: string, options: { reason?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.command('cancel-run', given({ runId, reason: options.reason })))
    })
  run
    .command('list')
    .description('list runs, newest first')
    .option('--status <status>', 'queued, running, succeeded, failed …')
    .option('--job <id|name>', 'of this job')
    .option('--limit <number>', 'at most so many', wholeNumber, 50)
    .action(async (options: { status?: string; job?: string; limit: number }, command: Command) => {
      const { client, settings } = contextOf(command)
      const jobId = options.job && (await idOf(client, 'jobs', options.job))
      print(settings.output, await client.list('/v1/runs', { status: options.status, jobId }, options.limit), columns)
    })
  run
    .command('show <run-id>')
    .description('show a run and its target runs')
    .action(async (runId: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const [shown, targets] = await Promise.all([
        client.get<object>(`/v1/runs/${runId}`),
        client.list(`/v1/runs/${runId}/target-runs`, {}, 10_000),
      ])
      if (settings.output !== 'table') return print(settings.output, { ...shown, targetRuns: targets })
      print('table', shown)
      console.log()
      print('table', targets, targetColumns)
    })
}
