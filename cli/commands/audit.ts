import type { Command } from 'commander'
import { contextOf } from '../context.ts'
import { type Column, print } from '../output.ts'
import { wholeNumber } from '../values.ts'

export const auditColumns: Column[] = [
  ['when', r => r.at],
  ['actor', r => actorText(r.actor)],
  ['event', r => r.type],
  ['resource', r => resourceText(r.resource)],
  ['changed', r => changedText(r.before, r.after)],
]

const actorText = (actor: unknown) => {
  const { kind, id, name } = (actor ?? {}) as { kind?: string; id?: string; name?: string }
  return `${kind}:${name ?? id}`
}
const resourceText = (resource: unknown) => {
  const { type, id, name } = (resource ?? {}) as { type?: string; id?: string; name?: string }
  return `${type} ${name ?? id}`
}
/** `address web-1 → web-2`: what a record changed, short enough for one line. */
function changedText(before: unknown, after: unknown): string {
  const old = (before ?? {}) as Record<string, unknown>
  return Object.entries((after ?? {}) as Record<string, unknown>)
    .map(([key, value]) =>
      old[key] === undefined ? `${key}=${short(value)}` : `${key} ${short(old[key])} → ${short(value)}`,
    )
    .join(', ')
    .slice(0, 80)
}
const short = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 30)

type ListOptions = { actor?: string; type?: string; resource?: string; from?: string; to?: string; limit: number }

export function auditCommand(program: Command): void {
  const audit = program.command('audit').description('what happened, by whom')
  audit
    .command('list')
    .description('list audit records, newest first')
    .option('--actor <id>', 'by this actor')
    .option('--type <EventType>', 'of this type')
    .option('--resource <id>', 'about this resource')
    .option('--from <instant>', 'not before')
    .option('--to <instant>', 'not after')
    .option('--limit <number>', 'at most so many', wholeNumber, 50)
    .action(async ({ limit, resource, ...filters }: ListOptions, command: Command) => {
      const { client, settings } = contextOf(command)
      print(settings.output, await client.list('/v1/audit', { ...filters, resourceId: resource }, limit), auditColumns)
    })
}
