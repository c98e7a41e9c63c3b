import { parseArgs } from 'node:util'
import { type Config, loadConfig, Secret } from '../infra/config.ts'
import { readRuntime } from '../infra/runtime-file.ts'
import type { Progress } from './beside.ts'
import { rebuild, type Status, status } from './maintenance.ts'
import type { RebuildReport } from './rebuild.ts'

const usage = `opsconductor projections status [--json]
opsconductor projections rebuild [--verify] [--drop-old] [--json]

status   shows how far each projection is, and streams set aside because an event could not be applied
rebuild  builds the read models anew from the log, beside the live ones, and then puts them in their place;
         --verify compares both first and switches only if they are equal; the replaced ones are kept
         until the next rebuild, or dropped at once with --drop-old`

/** `opsconductor projections …`, on the machine that runs the system. Answers the exit code. */
export async function projections(argv: string[]): Promise<number> {
  const flag = { type: 'boolean' } as const
  const options = { json: flag, verify: flag, 'drop-old': flag }
  const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true })
  const [action] = positionals
  if (action === 'status') return await showStatus(values.json === true)
  if (action === 'rebuild') {
    return await runRebuild({ verify: values.verify === true, dropOld: values['drop-old'] === true }, values.json)
  }
  console.error(usage)
  return 2
}

/** The endpoints that are configured, else those of the system that runs on the data folder. */
function endpoints(): Pick<Config, 'eventStoreUrl' | 'postgresUrl'> {
  const config = loadConfig()
  const running = readRuntime(config.dataDir)
  const secret = (url: string | undefined) => (url === undefined ? undefined : new Secret(url))
  return {
    eventStoreUrl: config.eventStoreUrl ?? secret(running?.eventStoreUrl),
    postgresUrl: config.postgresUrl ?? secret(running?.postgresUrl),
  }
}

async function showStatus(json: boolean): Promise<number> {
  const found = await status(endpoints())
  console.log(json ? JSON.stringify(found) : statusText(found))
  return found.projections.some(p => p.haltedBy !== null) || found.parked.length > 0 ? 1 : 0
}

async function runRebuild(options: { verify: boolean; dropOld: boolean }, json = false): Promise<number> {
  const onProgress = process.stderr.isTTY ? showProgress : undefined
  const report = await rebuild(endpoints(), { ...options, ...(onProgress && { onProgress }) })
  if (onProgress) process.stderr.write('\n')
  console.log(json ? JSON.stringify(report) : rebuildText(report))
  return report.switched ? 0 : 1
}

function showProgress({ events, position, head }: Progress): void {
  process.stderr.write(`\r${events} events, position ${position} of ${head} `)
}

export function statusText({ projections, parked, current, oldKept }: Status): string {
  const lines = projections.map(p => {
    const where = p.position === null ? 'at the beginning' : `at ${p.position} of ${p.head ?? '-'} (${p.time})`
    const line = `${p.projection.padEnd(8)} ${where}, lag ${p.lag}, ${p.events} events, ${p.eventsPerSecond}/s`
    return p.haltedBy === null ? line : `${line}\n         HALTED: ${p.haltedBy}`
  })
  for (const p of parked) lines.push(`parked   ${p.stream} from revision ${p.revision} on: ${p.error}`)
  if (!current) lines.push('The tables were made by another version: run opsconductor projections rebuild')
  if (oldKept) lines.push('The read models before the last rebuild are kept.')
  return lines.join('\n')
}

export function rebuildText({ events, seconds, switched, verified }: RebuildReport): string {
  const rate = Math.round(events / Math.max(seconds, 0.001))
  const lines = [`${events} events in ${seconds.toFixed(1)} s (${rate}/s)`]
  for (const t of verified?.tables ?? []) {
    const same = verified?.differences.some(d => d.table === t.table) ? 'DIFFERS' : 'equal'
    lines.push(`${t.table.padEnd(18)} ${String(t.rows).padStart(9)} rows  ${t.sha256.slice(0, 16)}  ${same}`)
  }
  lines.push(switched ? 'The rebuilt read models are live.' : 'Nothing was switched; the rebuilt tables are kept.')
  return lines.join('\n')
}
