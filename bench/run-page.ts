import { connectEventStore } from '../infra/event-store/client.ts'
import { streams } from '../schemas/events.ts'
import { type Emit, measurement } from './measurement.ts'
import { addTargets, fleet } from './support/fleet.ts'
import { ending } from './support/system.ts'

const TARGETS = 10_000
const SMALL = 10
const REQUESTS = 200
const MOST_EVENTS = 200

type Page = { items: Array<{ n: number }>; nextCursor?: string }

/** What the page of a run on 10,000 targets asks for, and how small its stream stays; beside a run on 10 targets. */
export async function run(emit: Emit, scale: number): Promise<void> {
  const t = ending()
  try {
    const all = await fleet(t)
    await addTargets(all, Math.round(TARGETS * scale))
    const steps = [{ id: 'nothing', uses: 'noop' }]
    const { items } = await all.api.get<{ items: Array<{ targetId: string }> }>(`/v1/targets?limit=${SMALL}`)
    const few = { targetIds: items.map(({ targetId }) => targetId) }
    const runOn = async (name: string, selection: object) => {
      const job = await all.api.command('define-job', { name, steps, selection })
      const { id } = await all.api.command('trigger-run', { jobId: job.id })
      await all.api.ended(id)
      return id
    }
    const [large, small] = [await runOn('large', { labels: 'bench' }), await runOn('small', few)]
    emit(measurement('run-page.stream', 'events', [await eventsIn(all.eventStoreUrl, large)], MOST_EVENTS))
    const of = (runId: string) => `/v1/runs/${runId}`
    report(emit, 'run-page.run', await timed(() => all.api.get(of(large))), await timed(() => all.api.get(of(small))))
    const page = (runId: string) => {
      let cursor = ''
      return async () => {
        const { nextCursor } = await all.api.get<Page>(`${of(runId)}/target-runs?limit=100${cursor}`)
        cursor = nextCursor ? `&cursor=${encodeURIComponent(nextCursor)}` : ''
      }
    }
    report(emit, 'run-page.target-runs', await timed(page(large)), await timed(page(small)))
  } finally {
    await t.end()
  }
}

async function eventsIn(eventStoreUrl: string, runId: string): Promise<number> {
  const store = connectEventStore(eventStoreUrl)
  try {
    return (await store.read(streams.run(runId))).events.length
  } finally {
    await store.close()
  }
}

async function timed(ask: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < REQUESTS; i += 1) {
    const began = performance.now()
    await ask()
    times.push(performance.now() - began)
  }
  return times.sort((a, b) => a - b)
}

function report(emit: Emit, name: string, large: readonly number[], small: readonly number[]): void {
  for (const share of [0.5, 0.99]) {
    const at = (times: readonly number[]) => times[Math.floor(times.length * share)] ?? 0
    const { value, baseline, ratio } = measurement('', '', [at(large)], at(small))
    emit({ ...measurement(`${name}.p${share * 100}`, 'ms', large), value, baseline, ratio })
  }
}
