import { tally, type Verdict } from './crash-test.ts'
import type { Recovery, Spread, Wait, Waits } from './recovery.ts'

/** True when every promise was kept. */
export function kept({ lost, doubled, stuck, log, output, rebuiltEqual }: Verdict): boolean {
  return [lost, doubled, stuck, log, output].every(broken => broken.length === 0) && rebuiltEqual
}

/** What was done, what was found, and whether every promise was kept. */
export function report(verdict: Verdict, seed: number): string[] {
  const { kills, missed, faults, commands, runs, effects, events, seconds, settledAfter, recovery } = verdict
  const atPoints = tally(kills.flatMap(kill => kill.point ?? []))
  const rows: Array<[string, string]> = [
    ['seed', String(seed)],
    ['kills', `${kills.length}: ${told(tally(kills.map(kill => kill.victim)))}`],
    ['of these at a named point', `${total(atPoints)} at ${atPoints.size} points; ${missed.length} times not reached`],
    ...[...atPoints].sort().map(([name, count]): [string, string] => [`  ${count}`.padStart(4), name]),
    ['faults', faults.length === 0 ? 'none' : told(tally(faults))],
    ...(verdict.diskFaults ? [] : [['  skipped', 'full disks: needs root and the right to mount'] as [string, string]]),
    ['commands', `${total(commands)}: ${told(commands)}`],
    ['runs', `${total(runs)}: ${told(runs)}`],
    ['in their course', told(verdict.turns)],
    ['steps that ran', String(effects)],
    ['events in the log', String(events)],
    ['process ready again', times(recovery.ready)],
    ['next command acknowledged', times(recovery.command)],
    ['next step on any target', waits(recovery.step)],
    ['what was worked on goes on', waits(recovery.atWork)],
    ['last run ended', `${settledAfter} s after the last kill`],
    ['took', `${seconds} s`],
  ]
  const promises: Array<[string, string[]]> = [
    ['acknowledged commands lost', verdict.lost],
    ['undeclared repeats', verdict.doubled],
    ['runs stuck', verdict.stuck],
    ['faults of the log', verdict.log],
    ['sealed output lost', verdict.output],
    ['rebuild differs', verdict.rebuiltEqual ? [] : verdict.rebuild.split('\n')],
  ]
  return [
    '',
    ...rows.map(([name, value]) => `${name.padEnd(28)} ${value}`),
    '',
    ...byKind(recovery),
    '',
    ...promises.flatMap(([name, broken]) => [
      `${name.padEnd(28)} ${broken.length}`,
      ...broken.slice(0, 20).map(line => `    ${line}`),
    ]),
    '',
    kept(verdict) ? 'every promise was kept' : 'BROKEN PROMISES',
  ]
}

/** By what had been killed or had happened; p50, p99 and worst in seconds. */
function byKind({ byKind, slowest }: Recovery): string[] {
  const cells = ({ since, attended }: Waits) => [String(since.count), figures(since), figures(attended)]
  const line = ([first = '', ...more]: string[]) =>
    [first.padEnd(37), ...more.map((cell, i) => cell.padStart(i % 3 === 0 ? 6 : 19))].join('')
  return [
    line(['seconds: p50 / p99 / worst', 'steps', 'since then', 'nobody away', 'works', 'since then', 'nobody away']),
    ...[...byKind].map(([what, { step, atWork }]) => line([what, ...cells(step), ...cells(atWork)])),
    ...slowest.map(slow),
  ]
}

const slow = ({ incident: { what, point, at }, since, attended }: Wait) =>
  `    slow: ${inSeconds(attended)} of ${inSeconds(since)} s after ${point ?? what} (${new Date(at).toISOString()})`
const total = (counts: Map<unknown, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0)
const told = (counts: Map<string, number>) => [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
const inSeconds = (ms: number) => (ms / 1_000).toFixed(1)
const figures = ({ p50, p99, worst }: Spread) => [p50, p99, worst].map(inSeconds).join(' / ')
const times = ({ p50, p99, worst }: Spread) =>
  `p50 ${inSeconds(p50)} s, p99 ${inSeconds(p99)} s, worst ${inSeconds(worst)} s`
const waits = ({ since, attended }: Waits) => `${times(since)}; with nobody away: ${times(attended)}`
