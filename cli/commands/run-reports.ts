import type { Command } from 'commander'
import type { Client } from '../client.ts'
import { contextOf } from '../context.ts'
import { UsageError } from '../errors.ts'
import { type Column, plain, print } from '../output.ts'
import { wholeNumber } from '../values.ts'

type Result = {
  count: number
  targets: Array<{ n: number; targetName: string | null; targetId: string }>
  sample: string
  truncated: boolean
}
type Attention = {
  items: Array<Record<string, unknown>>
  approvals: Array<Record<string, unknown>>
  leftOver: Array<Record<string, unknown>>
  paused: boolean
}

const waiting: Column[] = [
  ['what', r => r.what],
  ['n', r => r.n],
  ['target', r => r.targetName],
  ['step', r => r.stepId],
  ['detail', r => r.detail],
  ['do', r => r.help],
]

/** What a run came to, over all of its targets. */
export function runReports(run: Command): void {
  run
    .command('results <run-id>')
    .description('what a step printed: each distinct output once, with the targets that gave it')
    .option('--step <id>', 'of this step (default: the last one)')
    .option('--limit <number>', 'at most so many distinct outputs', wholeNumber, 20)
    .action(async (runId: string, options: { step?: string; limit: number }, command: Command) => {
      const { client, settings } = contextOf(command)
      const step = options.step ?? (await lastStep(client, runId))
      const limit = Math.min(options.limit, 50)
      const { items } = await client.get<{ items: Result[] }>(`/v1/runs/${runId}/results`, { step, limit: `${limit}` })
      if (settings.output !== 'table') return print(settings.output, items)
      for (const result of items) console.log(gathered(result))
    })
  run
    .command('attention <run-id>')
    .description('what of a run needs a person, and what to do')
    .action(async (runId: string, _options: object, command: Command) => {
      const { client, settings } = contextOf(command)
      const found = await client.get<Attention>(`/v1/runs/${runId}/attention`, { limit: '500' })
      print(settings.output, settings.output === 'table' ? rows(runId, found) : found, waiting)
    })
}

async function lastStep(client: Client, runId: string): Promise<string> {
  const { plan } = await client.get<{ plan: Array<{ id: string; gate?: true }> }>(`/v1/runs/${runId}`)
  const last = plan.findLast(({ gate }) => !gate)
  if (last) return last.id
  throw new UsageError('name a step with --step')
}

/** As `clush -b` shows it: who said it, then what was said. */
function gathered({ count, targets, sample, truncated }: Result): string {
  const names = targets.map(({ targetName, targetId }) => targetName ?? targetId).join(',')
  const more = count > targets.length ? `,… (${count})` : ` (${count})`
  const rule = '-'.repeat(15)
  const text = plain(Buffer.from(sample, 'base64').toString()).replace(/\n$/, '')
  return [rule, plain(`${names}${more}`), rule, `${text}${truncated ? '\n…' : ''}`].join('\n')
}

function rows(runId: string, { items, approvals, leftOver, paused }: Attention): Array<Record<string, unknown>> {
  const resume = { what: 'paused', help: `opsconductor run resume ${runId}` }
  return [
    ...(paused ? [resume] : []),
    ...approvals.map(({ stepId, prompt }) => ({
      ...{ what: 'approval', stepId, detail: prompt },
      help: `opsconductor approval grant ${runId} ${stepId}, or deny`,
    })),
    ...items.map(item => ({
      ...item,
      what: 'unknown outcome',
      help: `look on the machine, then: opsconductor run resolve-step ${runId} ${item.n} ${item.stepId} --as … --reason …`,
    })),
    ...leftOver.map(item => ({ ...item, what: 'left over' })),
  ]
}
