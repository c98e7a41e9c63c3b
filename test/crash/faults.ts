import { setTimeout as delay } from 'node:timers/promises'
import { type Dependency, type Deployment, type Executor, executors } from '../support/deployment.ts'
import type { Period } from '../support/periods.ts'
import { fillDisk } from './disks.ts'
import type { Random } from './random.ts'

export type Scenery = {
  deployment: Deployment
  random: Random
  leaseSeconds: number
  outageSeconds: number
  /** Folders on disks of their own, by what is kept there; those that could be made. */
  disks: ReadonlyMap<Disk, string>
  /** Who was there and could do nothing. */
  onHarmed(who: Disk, period: Period): void
}
export type Disk = 'event-store' | Executor
export type Fault = keyof typeof faults

const faults = {
  'executor stands still for three leases': standStill,
  'executor unreachable for two leases': silence,
  'postgres down': (scenery: Scenery) => down(scenery, 'postgres'),
  'event store down': (scenery: Scenery) => down(scenery, 'event-store'),
  'broker down, nothing kept': (scenery: Scenery) => down(scenery, 'broker'),
  'every message 200 ms late': slow,
  'disk of the event store full': (scenery: Scenery) => full(scenery, ['event-store']),
  'disks of the executors full': (scenery: Scenery) => full(scenery, executors),
} as const satisfies Record<string, (scenery: Scenery) => Promise<void>>
const ofDisks: readonly Fault[] = ['disk of the event store full', 'disks of the executors full']

/** Those that can be made to happen here; for disks that takes the right to mount one. */
export function possibleFaults(disks: Scenery['disks']): Fault[] {
  // Object.keys forgets the literal names.
  const all = Object.keys(faults) as Fault[]
  return disks.size > 0 ? all : all.filter(fault => !ofDisks.includes(fault))
}

/** Resolves when it is over. */
export const strike = (fault: Fault, scenery: Scenery): Promise<void> => faults[fault](scenery)

async function standStill({ deployment, random, leaseSeconds, onHarmed }: Scenery): Promise<void> {
  const [executor, from] = [random.pick(executors), Date.now()]
  const service = deployment.services.get(executor)
  service?.kill('SIGSTOP')
  await delay(3_000 * leaseSeconds)
  service?.kill('SIGCONT')
  onHarmed(executor, { from, to: Date.now() })
}

/** Nothing passes and nobody is told so, as when a cable is pulled. */
async function silence({ deployment, random, leaseSeconds }: Scenery): Promise<void> {
  const line = deployment.line(`${random.pick(executors)} broker`)
  line.rule('there', 'drop')
  line.rule('back', 'drop')
  await delay(2_000 * leaseSeconds)
  line.cut()
  line.rule('there', 'pass')
  line.rule('back', 'pass')
}

async function down({ deployment, outageSeconds }: Scenery, name: Dependency): Promise<void> {
  const service = deployment.services.get(name)
  await service?.down()
  await delay(1_000 * outageSeconds)
  service?.up()
  await service?.untilReady()
}

async function slow({ deployment, outageSeconds }: Scenery): Promise<void> {
  const lines = [...deployment.lines.values()]
  for (const line of lines) line.rule('back', 200)
  await delay(1_000 * outageSeconds)
  for (const line of lines) line.rule('back', 'pass')
}

async function full({ disks, outageSeconds, onHarmed }: Scenery, which: readonly Disk[]): Promise<void> {
  const from = Date.now()
  const empty = which.map(name => fillDisk(disks.get(name) ?? '/nowhere'))
  await delay(1_000 * outageSeconds)
  for (const free of empty) free()
  for (const who of which) onHarmed(who, { from, to: Date.now() })
}
