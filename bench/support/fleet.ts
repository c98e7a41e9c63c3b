import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Deployment, deploy } from '../../test/support/deployment.ts'
import { type Emit, measurement } from '../measurement.ts'
import { benchApi } from './api.ts'
import { usageBelow } from './memory.ts'
import type { Ending } from './system.ts'

export type Fleet = Deployment & { api: ReturnType<typeof benchApi> }

/** Every role in a process of its own and three executors. */
export async function fleet(t: Ending, env: Record<string, string> = {}): Promise<Fleet> {
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-bench-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const options = { folder, logs: path.join(folder, 'logs'), lines: false }
  const deployment = await deploy(t, { ...options, env: { OPSCONDUCTOR_LOG_LEVEL: 'warn', ...env } })
  return Object.assign(deployment, { api: benchApi(deployment) })
}

/** Registers so many targets that nobody will connect to, tagged `half=a` and `half=b` by turns. */
export async function addTargets({ api }: Fleet, count: number): Promise<void> {
  await api.bulk(
    'create-target',
    Array.from({ length: count }, (_, i) => ({
      ...{ name: `machine-${i}`, address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` },
      tags: { bench: '', half: i % 2 === 0 ? 'a' : 'b' },
    })),
  )
}

const SAMPLE_MS = 500

/** Watches the memory of every process; `report` says what each had at the start, at most, and at the end. */
export function watchMemory(t: Ending, { services }: Pick<Deployment, 'services'>) {
  const seen = new Map<string, { start: number; peak: number; end: number }>()
  const look = () => {
    for (const [name, { pid }] of services) {
      const end = pid === undefined ? 0 : usageBelow(pid).reduce((sum, each) => sum + each.megabytes, 0)
      const { start = end, peak = 0 } = seen.get(name) ?? {}
      seen.set(name, { start, peak: Math.max(peak, end), end })
    }
  }
  look()
  const timer = setInterval(look, SAMPLE_MS)
  t.teardown(() => clearInterval(timer))
  return {
    /** What the largest process had at most. */
    largest: () => Math.max(...[...seen.values()].map(({ peak }) => peak)),
    report(emit: Emit, prefix: string): void {
      look()
      for (const [name, { start, peak, end }] of seen) {
        emit(measurement(`${prefix}.memory.${name}.peak`, 'MB', [peak], start))
        emit(measurement(`${prefix}.memory.${name}.end`, 'MB', [end], start))
      }
    },
  }
}
