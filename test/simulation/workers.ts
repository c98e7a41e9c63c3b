import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { simulate } from './simulate.ts'

type Share = { seed: number; seeds: number; step: number }
export type Broken = { seed: number; broken: string[] }
export type Totals = { events: number; effects: number; broken: number }

/** Shares the seeds among threads; those in which a promise was broken are told as they are found. */
export async function simulateAll(
  { seed, seeds, workers }: { seed: number; seeds: number; workers: number },
  onBroken: (broken: Broken) => void,
): Promise<Totals> {
  const shares = Array.from({ length: Math.min(workers, seeds) }, (_, i) => ({ seed: seed + i, seeds, step: workers }))
  const totals = await Promise.all(
    shares.map(share => inThread({ ...share, seeds: seed + seeds - share.seed }, onBroken)),
  )
  return totals.reduce((sum, each) => ({
    ...{ events: sum.events + each.events, effects: sum.effects + each.effects, broken: sum.broken + each.broken },
  }))
}

function inThread(share: Share, onBroken: (broken: Broken) => void): Promise<Totals> {
  return new Promise((resolve, reject) => {
    // Nearly all of a world is soon forgotten: with more room it is collected seldom, when little of it is left.
    const resourceLimits = { maxYoungGenerationSizeMb: 64 }
    const worker = new Worker(new URL(import.meta.url), { workerData: share, resourceLimits })
    worker.on('message', (told: Broken | Totals) => ('seed' in told ? onBroken(told) : resolve(told)))
    worker.on('error', reject)
    worker.on('exit', () => reject(new Error('a thread ended before its work')))
  })
}

async function work({ seed, seeds, step }: Share): Promise<void> {
  const totals: Totals = { events: 0, effects: 0, broken: 0 }
  for (let next = seed; next < seed + seeds; next += step) {
    const { broken, events, effects } = await simulate(next)
    totals.events += events
    totals.effects += effects
    if (broken.length === 0) continue
    totals.broken += 1
    parentPort?.postMessage({ seed: next, broken } satisfies Broken)
  }
  parentPort?.postMessage(totals)
}

// This file is also what the threads run.
if (!isMainThread && parentPort) await work(workerData as Share)
