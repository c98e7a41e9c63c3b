import type { Verdict } from './crash-test.ts'

/** True when every promise was kept. */
export function kept({ lost, doubled, stuck, log, output, rebuiltEqual }: Verdict): boolean {
  return [lost, doubled, stuck, log, output].every(broken => broken.length === 0) && rebuiltEqual
}

/** What was done, what was found, and whether every promise was kept. */
export function report(verdict: Verdict, seed: number): string[] {
  const { kills, commands, runs, effects, events, seconds, settledAfter } = verdict
  const total = (counts: Map<unknown, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0)
  const told = (counts: Map<string, number>) => [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
  const rows: Array<[string, string]> = [
    ['seed', String(seed)],
    ['kills', `${total(kills)}: ${told(kills)}`],
    ['commands', `${total(commands)}: ${told(commands)}`],
    ['runs', `${total(runs)}: ${told(runs)}`],
    ['steps that ran', String(effects)],
    ['events in the log', String(events)],
    ['last run ended', `${settledAfter} s after the last kill`],
    ['took', `${seconds} s`],
  ]
  const promises: Array<[string, string[]]> = [
    ['acknowledged commands lost', verdict.lost],
    ['steps executed twice', verdict.doubled],
    ['runs stuck', verdict.stuck],
    ['faults of the log', verdict.log],
    ['sealed output lost', verdict.output],
    ['rebuild differs', verdict.rebuiltEqual ? [] : verdict.rebuild.split('\n')],
  ]
  return [
    '',
    ...rows.map(([name, value]) => `${name.padEnd(28)} ${value}`),
    '',
    ...promises.flatMap(([name, broken]) => [
      `${name.padEnd(28)} ${broken.length}`,
      ...broken.slice(0, 20).map(line => `    ${line}`),
    ]),
    '',
    kept(verdict) ? 'every promise was kept' : 'BROKEN PROMISES',
  ]
}
