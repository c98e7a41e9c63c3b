import type { Command } from 'commander'
import { begun } from '../begun.ts'
import { collect, contextOf, given, idOf } from '../context.ts'
import { followRun } from '../follow.ts'
import { type Column, print } from '../output.ts'
import { parametersFrom } from '../parameters.ts'
import { showPlan } from '../show-plan.ts'
import { wholeNumber } from '../values.ts'
import { runControl } from './run-control.ts'
import { runReports } from './run-reports.ts'

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

type CreateOptions = {
  labels?: string
  target?: string[]
  version?: number
  param?: string[]
  paramFile?: string
  plan?: true
  confirm?: true
  reason?: string
  follow?: true
  watch?: true
}

export function runCommand(program: Command): void {
  const run = program.command('run').description('run jobs and watch them')
  run
    .command('create <job>')
    .alias('trigger')
    .description('run a job now')
    .option('--labels <expression>', 'on the targets that match')
    .option('--target <id|name>', 'on this target, repeatable', collect)
    .option('--version <number>', 'this job version instead of the latest', wholeNumber)
    .option('--param <name=value>', 'tell the job a parameter, repeatable; a list as a,b or as JSON', collect)
    .option('--param-file <file>', 'parameters in YAML or JSON, - for standard input')
    .option('--plan', 'show what would happen, and do nothing')
    .option('--confirm', 'the commands that have to be confirmed are meant')
    .option('--reason <text>', 'why')
    .option('--follow', 'show output and progress, and exit with the result of the run')
    .option('--watch', 'the same as --follow')
    .action(create)
  run
    .command('follow <run-id>')
    .alias('watch')
    .description('watch a run, from its beginning')
    .action(async (runId: string, _options: object, command: Command) => {
      process.exitCode = await followRun(contextOf(command).client, runId)
    })
  runControl(run)
  runList(run)
  runReports(run)
}

async function create(job: string, options: CreateOptions, command: Command): Promise<void> {
  const context = contextOf(command)
  const { client } = context
  const targetIds = options.target && (await Promise.all(options.target.map(t => idOf(client, 'targets', t))))
  const selection = options.labels || targetIds ? given({ labels: options.labels, targetIds }) : undefined
  const { version, reason, confirm } = options
  const jobId = await idOf(client, 'jobs', job)
  const parameters = await parametersFrom(client, jobId, options)
  const data = given({ jobId, selection, version, parameters, confirm, reason })
  if (options.plan) return await showPlan(context, 'trigger-run', data)
  await begun(context, 'trigger-run', data, options)
}

type ListOptions = {
  status?: string
  job?: string
  initiator?: string
  since?: string
  until?: string
  rerunOf?: string
  attention?: true
  limit: number
}

function runList(run: Command): void {
  run
    .command('list')
    .description('list runs, newest first')
    .option('--status <status>', 'queued, running, needs-attention, failed …; several with commas between')
    .option('--job <id|name>', 'of this job')
    .option('--initiator <id>', 'that this person, key or schedule asked for')
    .option('--since <instant>', 'requested at this instant or later')
    .option('--until <instant>', 'requested before this instant')
    .option('--rerun-of <run-id>', 'reruns of this run')
    .option('--attention', 'those that need a person first')
    .option('--limit <number>', 'at most so many', wholeNumber, 50)
    .action(async (options: ListOptions, command: Command) => {
      const { client, settings } = contextOf(command)
      const { job, attention, limit, ...query } = options
      const jobId = job && (await idOf(client, 'jobs', job))
      const sort = attention && 'attention'
      print(settings.output, await client.list('/v1/runs', { ...query, jobId, sort }, limit), columns)
    })
  run
    .command('show <run-id>')
    .description('show a run, how far it is, and its target runs')
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
