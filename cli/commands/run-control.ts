import { type Command, Option } from 'commander'
import { begun } from '../begun.ts'
import type { Client } from '../client.ts'
import { contextOf, given, idOf } from '../context.ts'
import { exitCode, NotFound } from '../errors.ts'
import { type Column, note, print } from '../output.ts'
import { showPlan } from '../show-plan.ts'

const cancelled: Column[] = [
  ['run', r => r.runId],
  ['cancelled', r => r.cancelled],
  ['problem', r => (r.problem as { title?: string } | undefined)?.title],
]

/** What can be done to a run that goes on, and to one that is over. */
export function runControl(run: Command): void {
  simple(run, 'cancel', 'cancel-run', 'stop a run; remote processes are killed')
  simple(run, 'pause', 'pause-run', 'hold a run up: what runs ends, nothing new begins')
  simple(run, 'resume', 'resume-run', 'let a paused run go on')
  rerun(run)
  cancelAll(run)
  onOneTarget(run)
}

function simple(run: Command, verb: string, name: string, summary: string): void {
  const command = run.command(`${verb} <run-id>`).description(summary)
  if (verb !== 'resume') command.option('--reason <text>', 'why')
  command.action(async (runId: string, { reason }: { reason?: string }, command: Command) => {
    const { client, settings } = contextOf(command)
    const answer = await client.command(name, given({ runId, reason }))
    if (answer.events.length === 0) note('nothing to change')
    print(settings.output, answer)
  })
}

type RerunOptions = {
  failed?: true
  fromStep?: string
  plan?: true
  confirm?: true
  reason?: string
  follow?: true
  watch?: true
}

function rerun(run: Command): void {
  run
    .command('rerun <run-id>')
    .description('run the same job version with the same parameters again')
    .option('--failed', 'only where it did not succeed')
    .option('--from-step <id>', 'beginning at this step; those before it count as done')
    .option('--plan', 'show what would happen, and do nothing')
    .option('--confirm', 'the commands that have to be confirmed are meant')
    .option('--reason <text>', 'why')
    .option('--follow', 'show output and progress, and exit with the result of the run')
    .option('--watch', 'the same as --follow')
    .action(async (of: string, options: RerunOptions, command: Command) => {
      const { failed, fromStep, confirm, reason } = options
      const data = given({ of, only: failed && 'failed', fromStep, confirm, reason })
      const context = contextOf(command)
      if (options.plan) await showPlan(context, 'rerun', data)
      else await begun(context, 'rerun', data, options)
    })
}

type CancelAnswer = { matched: number; runs: Array<{ runId: string; cancelled: boolean; problem?: unknown }> }
type CancelOptions = { job?: string; status?: string; initiator?: string; reason?: string }

function cancelAll(run: Command): void {
  run
    .command('cancel-all')
    .description('stop every run that has not ended and fits all of these')
    .option('--job <id|name>', 'of this job')
    .option('--status <status>', 'queued, running, awaiting-approval …; several with commas between')
    .option('--initiator <id>', 'that this person, key or schedule asked for')
    .option('--reason <text>', 'why')
    .action(async (options: CancelOptions, command: Command) => {
      const { client, settings } = contextOf(command)
      const jobId = options.job && (await idOf(client, 'jobs', options.job))
      const { initiator, reason } = options
      const data = given({ jobId, status: options.status?.split(','), initiator, reason })
      const answer = await client.send<CancelAnswer>('cancel-runs', data)
      print(settings.output, settings.output === 'table' ? answer.runs : answer, cancelled)
      if (answer.runs.some(each => each.problem !== undefined)) process.exitCode = exitCode.failed
    })
}

const target = '<n|target>'

function onOneTarget(run: Command): void {
  run
    .command(`cancel-target <run-id> ${target}`)
    .description('stop a run on one of its targets')
    .option('--reason <text>', 'why')
    .action(async (runId: string, where: string, { reason }: { reason?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      const n = await numberOf(client, runId, where)
      print(settings.output, await client.command('cancel-target-run', given({ runId, n, reason })))
    })
  run
    .command(`cancel-step <run-id> ${target} <step>`)
    .description('stop the step that runs on one target; it counts as failed')
    .option('--reason <text>', 'why')
    .action(async (runId: string, where: string, stepId: string, { reason }: { reason?: string }, command: Command) => {
      const { client, settings } = contextOf(command)
      const n = await numberOf(client, runId, where)
      print(settings.output, await client.command('cancel-step', given({ runId, n, stepId, reason })))
    })
  run
    .command(`resolve-step <run-id> ${target} <step>`)
    .description('say what became of a step of which nobody knows whether it took effect')
    .addOption(
      new Option('--as <outcome>', 'what became of it').choices(['succeeded', 'failed', 'retry']).makeOptionMandatory(),
    )
    .requiredOption('--reason <text>', 'how you know')
    .action(
      async (
        runId: string,
        where: string,
        stepId: string,
        { as, reason }: { as: string; reason: string },
        command: Command,
      ) => {
        const { client, settings } = contextOf(command)
        const n = await numberOf(client, runId, where)
        print(settings.output, await client.command('resolve-step', { runId, n, stepId, as, reason }))
      },
    )
}

type TargetRun = { n: number; targetId: string; targetName: string | null }

/** A target of a run by its number, its name or its id. */
async function numberOf(client: Client, runId: string, where: string): Promise<number> {
  if (/^\d{1,4}$/.test(where)) return Number(where)
  const targets = await client.list<TargetRun>(`/v1/runs/${runId}/target-runs`, {}, 10_000)
  const found = targets.find(({ targetId, targetName }) => targetName === where || targetId === where.toLowerCase())
  if (found) return found.n
  throw new NotFound(`the run has no target ${where}; see \`opsconductor run show ${runId}\``)
}
