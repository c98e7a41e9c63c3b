import t from 'tap'
import { deciders, fold } from '../../command-api/domain/index.ts'
import { derivedId } from '../../infra/ids.ts'
import type { AnyEvent, Recorded } from '../../schemas/events.ts'
import { stepSchema } from '../../schemas/steps/index.ts'
import { History } from '../../test/support/history.ts'
import type { Commands } from '../commands.ts'
import { ActiveRuns } from '../runs/active-runs.ts'
import { prepare } from './work-source.ts'

const runId = derivedId('run', 'rolling')
const jobId = derivedId('job', 'deploy')
const targetIds = [0, 1].map(n => derivedId('target', n))
const NOW = '2026-03-01T12:00:00.000Z'

const job: AnyEvent[] = [
  { type: 'JobDefined', data: { jobId, name: 'deploy' } },
  {
    type: 'JobVersionPublished',
    data: {
      ...{ jobId, version: 1, digest: 'ab'.repeat(32) },
      steps: ['first', 'second'].map(id => stepSchema.parse({ id, uses: 'noop' })),
    },
  },
]
const target = (targetId: string): AnyEvent => ({
  type: 'TargetRegistered',
  data: {
    ...{ targetId, name: 'web', address: '10.0.0.1', port: 22, platform: 'linux', tags: { rack: 'a' } },
    hostKeyPolicy: 'first-use',
  },
})
const initiator = { kind: 'user', id: 'anna' } as const
const requested: AnyEvent[] = [
  {
    type: 'RunRequested',
    data: {
      ...{ runId, jobId, jobVersion: 1, jobName: 'deploy', selection: { targetIds }, targets: 2, initiator },
      strategy: { pace: 'free', serialBy: 'rack' },
      plan: [{ id: 'first' }, { id: 'second' }],
    },
  },
  { type: 'TargetsResolved', data: { runId, from: 0, targetIds } },
]
const claimed = (n: number, epoch = 1): AnyEvent => ({
  type: 'TargetRunClaimed',
  data: {
    ...{ runId, n, targetId: targetIds[n] ?? '', epoch, executorId: 'east-1', executorKey: 'k'.repeat(43) },
    ...{ deadline: '2026-03-01T12:00:15.000Z', target: { name: 'web', address: '10.0.0.1', port: 22 } },
    steps: ['first', 'second'].map(id => ({ id, idempotent: false, continueOnError: false })),
  },
})
const step = (n: number) => ({ runId, n, stepId: 'first', attempt: 1, epoch: 1 })
const handedBack = (n: number): AnyEvent => ({
  type: 'TargetRunHandedBack',
  data: { runId, n, epoch: 1, seq: 1, detail: 'stopping' },
})
const attention = (n: number): AnyEvent => ({
  type: 'TargetRunNeedsAttention',
  data: { runId, n, targetId: targetIds[n] ?? '', stepId: 'first', detail: 'unknown' },
})
const resolved = (n: number): AnyEvent => ({ type: 'StepResolved', data: { ...step(n), as: 'retry', reason: 'ok' } })

/** A process that begins with this history. */
function given(...events: AnyEvent[]) {
  const history = new History()
  const runs = new ActiveRuns(undefined)
  const ofRun: Recorded[] = []
  for (const event of [...requested, ...events]) {
    const recorded = history.record(event)
    ofRun.push(recorded)
    runs.apply(recorded)
  }
  const states = {
    job: fold(deciders.job, job as never[]),
    target: fold(deciders.target, [target(targetIds[0] ?? '')] as never[]),
  }
  const commands = {
    known: async (name: string) => states[name as keyof typeof states],
    active: async (stream: string) =>
      fold(deciders.targetRun, ofRun.filter(event => event.stream === stream) as never[]),
  } as Pick<Commands, 'known' | 'active'>
  return async () => {
    const run = runs.get(runId)
    const n = run?.reserve()
    if (!run || n === undefined) throw new Error('nothing to prepare')
    return { n, ...(await prepare(commands, { run, n }, NOW)) }
  }
}

t.test('the targets of a group are worked on one after another', async t => {
  const next = given()
  t.match(await next(), { n: 0, kind: 'claim' })
  t.match(await next(), { n: 1, kind: 'hold', hold: { group: 'a' } })
})

t.test('after a restart it is the turn of the one that was worked on last', async t => {
  // The first waited for a person while the second had its turn, and is not the first in line for that.
  const next = given(claimed(0), attention(0), claimed(1), resolved(0), handedBack(1))
  t.match(await next(), { n: 0, kind: 'hold', hold: { group: 'a' } })
  t.match(await next(), { n: 1, kind: 'claim' })
})
