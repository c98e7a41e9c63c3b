import { setTimeout as after } from 'node:timers/promises'
import { dataFolder } from '../test/support/system.ts'
import { type Emit, measurement } from './measurement.ts'
import { totalMegabytes, usageBelow } from './support/memory.ts'
import { benchSystem, ending } from './support/system.ts'

const STARTS = 3
const IDLE_MS = 10_000

/** What the whole system costs while it does nothing, and how long it takes to get ready once it is initialised. */
export async function run(emit: Emit): Promise<void> {
  const folder = ending()
  try {
    const dataDir = dataFolder(folder)
    const first = await start(dataDir, false)
    emit(measurement('footprint.first-start', 's', [first.seconds]))
    const starts = []
    for (let i = 0; i < STARTS; i++) starts.push(await start(dataDir, true))
    emit(
      measurement(
        'footprint.start',
        's',
        starts.map(s => s.seconds),
      ),
    )
    emit(
      measurement(
        'footprint.idle-memory',
        'MB',
        starts.map(s => s.megabytes),
      ),
    )
  } finally {
    await folder.end()
  }
}

async function start(dataDir: string, settle: boolean): Promise<{ seconds: number; megabytes: number }> {
  const t = ending()
  try {
    const system = await benchSystem(t, { dataDir })
    if (!settle) return { seconds: system.readySeconds, megabytes: 0 }
    await after(IDLE_MS)
    const usage = usageBelow(system.pid)
    for (const { name, megabytes } of usage) console.error(`  ${name.padEnd(20)} ${megabytes.toFixed(0)} MB`)
    return { seconds: system.readySeconds, megabytes: totalMegabytes(usage) }
  } finally {
    await t.end()
  }
}
