import t from 'tap'
import { derivedId } from '../../infra/ids.ts'
import type { AnyEvent } from '../../schemas/events.ts'
import { History } from '../../test/support/history.ts'
import { ActiveRuns } from './active-runs.ts'
import { deadlocked, givesWay } from './deadlocks.ts'

const [mail, web] = ['mail', 'web'].map(name => derivedId('target', name)) as [string, string]
const idOf = (name: string) => derivedId('run', name)
const initiator = { kind: 'user', id: 'anna' } as const

type Asked = { job?: string; above?: string; overlap?: 'queue'; gate?: true }
const run = (name: string, targetId: string, { job = name, above, overlap, gate }: Asked = {}): AnyEvent[] => {
  const runId = idOf(name)
  return [
    {
      type: 'RunRequested',
      data: {
        ...{ runId, jobId: derivedId('job', job), jobVersion: 1, jobName: job, targets: 1, initiator },
        ...{ selection: { targetIds: [targetId] }, access: 'exclusive', overlap },
        plan: [{ id: 'prepare' }, ...(gate ? [{ id: 'other', gate }] : [])],
        ...(above !== undefined && { parent: { runId: idOf(above), stepId: 'other', depth: 1 } }),
      },
    },
    { type: 'TargetsResolved', data: { runId, from: 0, targetIds: [targetId] } },
  ]
}
/** It has its target, has prepared, and goes no further. */
const prepared = (name: string, targetId: string): AnyEvent[] => {
  const where = { runId: idOf(name), n: 0, epoch: 1 }
  const step = { ...where, stepId: 'prepare', attempt: 1, at: '2026-03-01T12:00:01.000Z' }
  return [
    {
      type: 'TargetRunClaimed',
      data: {
        ...{ ...where, targetId, executorId: 'east-1', executorKey: 'k'.repeat(43), due: ['prepare'] },
        ...{ deadline: '2026-03-01T12:00:15.000Z', target: { name: 'x', address: '10.0.0.1', port: 22 } },
        steps: [{ id: 'prepare', idempotent: false, continueOnError: false }],
      },
    },
    { type: 'StepStarted', data: step },
    { type: 'StepSucceeded', data: { ...step, seq: 1, exitCode: 0, output: nothing } },
  ]
}
const nothing = { bytes: 0, chunks: 0, sha256: 'ab'.repeat(32), truncated: false }
const triggers = (name: string, subRun: string): AnyEvent => ({
  type: 'SubRunTriggered',
  data: { runId: idOf(name), stepId: 'other', subRunId: idOf(subRun), jobId: derivedId('job', subRun) },
})

function given(...events: AnyEvent[]) {
  const history = new History()
  const runs = new ActiveRuns(undefined)
  for (const event of events) runs.apply(history.record(event))
  // Whatever can be given out is: what had to be prepared is, so the rest waits at its gate.
  for (let next = runs.reserve(); next; next = runs.reserve()) runs.hold(next, { step: 'other' })
  return runs
}
const namesOf = (runs: ActiveRuns, names: string[]) =>
  [...deadlocked(runs)].map(({ runId }) => names.find(name => idOf(name) === runId))

t.test('two runs that trigger runs on the target of the other', async t => {
  const names = ['backup', 'patch', 'mail-off', 'web-off']
  const runs = given(
    ...run('backup', mail, { gate: true }),
    ...run('patch', web, { gate: true }),
    ...[...prepared('backup', mail), ...prepared('patch', web)],
    ...run('web-off', web, { above: 'backup' }),
    triggers('backup', 'web-off'),
    ...run('mail-off', mail, { above: 'patch' }),
    triggers('patch', 'mail-off'),
  )
  t.same(namesOf(runs, names), ['backup', 'patch', 'web-off', 'mail-off'])
  t.equal(givesWay(deadlocked(runs))?.runId, idOf('mail-off'), 'the youngest that was triggered')
})

t.test('a run that waits for an older one of its job, which waits for what the run above it has', async t => {
  const names = ['patch', 'off', 'off-again']
  const runs = given(
    ...run('patch', web, { gate: true }),
    ...prepared('patch', web),
    ...run('off', web, { job: 'off', overlap: 'queue' }),
    ...run('off-again', web, { job: 'off', overlap: 'queue', above: 'patch' }),
    triggers('patch', 'off-again'),
  )
  t.same(namesOf(runs, names), names)
  t.equal(givesWay(deadlocked(runs))?.runId, idOf('off-again'))
})

t.test('a run that waits for one that goes on is not stuck, nor is who waits for it', async t => {
  const runs = given(
    ...run('patch', web, { gate: true }),
    ...prepared('patch', web),
    ...run('mail-off', mail, { above: 'patch' }),
    triggers('patch', 'mail-off'),
    ...run('upgrade', web),
  )
  t.same([...deadlocked(runs)], [])
})
