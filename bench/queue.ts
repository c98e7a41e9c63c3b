import { appendLoad } from '../infra/embedded/event-store/load.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import type { LogPosition, Recorded, StreamCategory } from '../schemas/events.ts'
import { type Emit, measurement } from './measurement.ts'
import { addTargets, type Fleet, fleet, watchMemory } from './support/fleet.ts'
import { ending } from './support/system.ts'

const TARGET_RUNS = 10_000
const ROUNDS = 4
const FAIR_WITHIN = 0.2
const CANCEL_MS = 10_000
/** The bare client: as many writers as the dispatcher has claims under way at a time. */
const BASELINE = { writers: 64, payloadBytes: 500 }
const CATEGORIES: StreamCategory[] = ['run', 'targetrun']

/**
 * Two jobs that do nothing, at once, on half of the targets each, over three executors: none lost, none doubled, and
 * neither job waits for the other; and again, so that what a process keeps of them would show in its memory. The rate
 * stands beside that of the bare client appending as many events to the same node. Then once more, cancelled in one go.
 */
export async function run(emit: Emit, scale: number): Promise<void> {
  const t = ending()
  try {
    const all = await fleet(t)
    await addTargets(all, Math.round(TARGET_RUNS * scale))
    const steps = [{ id: 'nothing', uses: 'noop' }]
    const jobs: string[] = []
    for (const half of ['a', 'b']) {
      const job = { name: `half ${half}`, steps, selection: { labels: `half=${half}` } }
      jobs.push((await all.api.command('define-job', job)).id)
    }
    const rounds = [await workedOff(all, jobs)]
    const memory = watchMemory(t, all)
    while (rounds.length < ROUNDS) rounds.push(await workedOff(all, jobs))
    emit(
      measurement(
        'queue.target-runs',
        '1/s',
        rounds.map(round => round.targetRuns),
      ),
    )
    emit(
      measurement(
        'queue.events',
        '1/s',
        rounds.map(round => round.events),
        measurement(
          '',
          '',
          rounds.map(round => round.bare),
        ).value,
      ),
    )
    emit(
      measurement('queue.unfairness-at-most', 'share', [Math.max(...rounds.map(round => round.unfair))], FAIR_WITHIN),
    )
    await cancelled(emit, all, jobs)
    memory.report(emit, 'queue')
  } finally {
    await t.end()
  }
}

async function workedOff(all: Fleet, jobs: readonly string[]) {
  const before = await head(all)
  const began = performance.now()
  const runs = await trigger(all, jobs)
  await ended(all, runs)
  const seconds = (performance.now() - began) / 1_000
  const events = await eventsAfter(all, before)
  const done = events.flatMap(({ type, data }) => (type === 'TargetRunSucceeded' ? [data] : []))
  const places = new Set(done.map(({ runId, n }) => `${runId}.${n}`))
  const starts = events.filter(({ type }) => type === 'StepStarted').length
  const wanted = await targetsOf(all, runs)
  if (places.size !== wanted || done.length !== wanted || starts !== wanted)
    throw new Error(`${wanted} wanted; ${places.size} done, ${done.length} times, ${starts} steps started`)
  const unfair = unfairness(done.map(({ runId }) => runId))
  const bare = events.length / (await appendLoad(all.eventStoreUrl, { ...BASELINE, appends: events.length }))
  return { targetRuns: wanted / seconds, events: events.length / seconds, bare, unfair }
}

/** At each quarter of all the work: how much further one run is than the other, as a share of what was due to each. */
function unfairness(runIds: readonly string[]): number {
  const [one] = runIds
  const quarters = [0.25, 0.5, 0.75].map(share => runIds.slice(0, Math.round(runIds.length * share)))
  const ahead = quarters.map(done => Math.abs(2 * done.filter(runId => runId === one).length - done.length))
  return Math.max(...ahead.map((difference, i) => difference / ((quarters[i]?.length ?? 1) / 2)))
}

async function cancelled(emit: Emit, all: Fleet, jobs: readonly string[]): Promise<void> {
  const runs = await trigger(all, jobs)
  await all.api.until(runs[0] ?? '', ({ counts }) => counts.succeeded > 0)
  const began = performance.now()
  await all.api.post('cancel-runs', { reason: 'bench' })
  const ends = await ended(all, runs)
  if (ends.some(({ status }) => status !== 'cancelled')) throw new Error(ends.map(({ status }) => status).join(', '))
  emit(measurement('queue.cancel-all', 'ms', [performance.now() - began], CANCEL_MS))
}

const trigger = async ({ api }: Fleet, jobs: readonly string[]) =>
  (await Promise.all(jobs.map(jobId => api.command('trigger-run', { jobId })))).map(({ id }) => id)

const ended = ({ api }: Fleet, runs: readonly string[]) => Promise.all(runs.map(runId => api.ended(runId)))

async function targetsOf({ api }: Fleet, runs: readonly string[]): Promise<number> {
  const all = await Promise.all(runs.map(runId => api.get<{ targets: number }>(`/v1/runs/${runId}`)))
  return all.reduce((sum, { targets }) => sum + targets, 0)
}

async function head({ eventStoreUrl }: Fleet): Promise<LogPosition | undefined> {
  const store = connectEventStore(eventStoreUrl)
  try {
    return await store.head()
  } finally {
    await store.close()
  }
}

async function eventsAfter({ eventStoreUrl }: Fleet, after: LogPosition | undefined): Promise<Recorded[]> {
  const store = connectEventStore(eventStoreUrl)
  const stop = new AbortController()
  const events: Recorded[] = []
  try {
    for await (const batch of store.follow({ categories: CATEGORIES, after, signal: stop.signal })) {
      events.push(...batch.events)
      if (batch.caughtUp) break
    }
    return events
  } finally {
    stop.abort()
    await store.close()
  }
}
