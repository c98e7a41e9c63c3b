import t from 'tap'
import { specFor } from '../../test/support/decider-spec.ts'
import { fold } from './decider.ts'
import { targetRun } from './target-run.ts'
import { MAX_ATTEMPTS, nextAttempt, remainingSteps } from './target-run-state.ts'

const runId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
const targetId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const at = '2030-01-01T00:00:07.000Z'
const where = { runId, n: 3 }
const rules = [
  { id: 'fetch', idempotent: true, continueOnError: false },
  { id: 'check', idempotent: false, continueOnError: true },
  { id: 'switch', idempotent: false, continueOnError: false },
]
const output = { bytes: 3, chunks: 1, sha256: 'a'.repeat(64), truncated: false }
const held = {
  ...where,
  targetId,
  steps: rules,
  executorId: 'executor-a',
  executorKey: 'k'.repeat(43),
  target: { name: 'web-1', address: '192.0.2.1', port: 22 },
}
const spec = (t: Parameters<typeof specFor>[0]) => specFor(t, targetRun)

const claim = { type: 'claim-target-run', data: { ...held, leaseSeconds: 15 } } as const
const claimed = (epoch = 1, steps = rules) =>
  ({ type: 'TargetRunClaimed', data: { ...held, steps, epoch, deadline: '2030-01-01T00:00:15.000Z' } }) as const
const step = (stepId: string, attempt = 1, epoch = 1) => ({ ...where, stepId, attempt, epoch })
const start = (...s: Parameters<typeof step>) => ({ type: 'start-step', data: { ...step(...s), at } }) as const
const started = (...s: Parameters<typeof step>) => ({ type: 'StepStarted', data: { ...step(...s), at } }) as const
const good = (...s: Parameters<typeof step>) => ({ ...step(...s), seq: 1, at, output, exitCode: 0 })
const bad = (...s: Parameters<typeof step>) => ({
  ...step(...s),
  seq: 1,
  at,
  output,
  class: 'exit-nonzero' as const,
  exitCode: 2,
  detail: 'exit 2',
})
const succeed = (...s: Parameters<typeof step>) => ({ type: 'succeed-step', data: good(...s) }) as const
const fail = (...s: Parameters<typeof step>) => ({ type: 'fail-step', data: bad(...s) }) as const
const succeeded = (...s: Parameters<typeof step>) => ({ type: 'StepSucceeded', data: good(...s) }) as const
const failed = (...s: Parameters<typeof step>) => ({ type: 'StepFailed', data: bad(...s) }) as const
const sealed = (...s: Parameters<typeof step>) =>
  ({ type: 'OutputSealed', data: { ...step(...s), ...output } }) as const
const skipped = (stepId: string, why: 'earlier-step-failed' | 'cancelled', epoch = 1) =>
  ({ type: 'StepSkipped', data: { ...where, stepId, epoch, why } }) as const
const expire = (epoch = 1) => ({ type: 'expire-lease', data: { ...where, epoch } }) as const
const expired = (epoch = 1) => ({ type: 'LeaseExpired', data: { ...where, epoch, executorId: 'executor-a' } }) as const
const handBack = { type: 'hand-back-target-run', data: { ...where, epoch: 1, seq: 1, detail: 'stopping' } } as const
const handedBack = { type: 'TargetRunHandedBack', data: handBack.data } as const
const done = { type: 'TargetRunSucceeded', data: { ...where, targetId } } as const
const over = { type: 'TargetRunFailed', data: { ...where, targetId, class: 'exit-nonzero', detail: 'exit 2' } } as const
const cancelUnclaimed = {
  type: 'end-unclaimed-target-run',
  data: { ...where, targetId, why: 'cancelled' },
} as const
const neverTaken = {
  type: 'TargetRunCancelled',
  data: { ...where, targetId, detail: 'cancelled before any executor took it' },
} as const
const unknown = (stepId: string, why: 'lease-expired' | 'connection-lost', detail: string, attempt = 1, epoch = 1) =>
  ({ type: 'StepOutcomeUnknown', data: { ...step(stepId, attempt, epoch), why, detail } }) as const
const attention = (stepId: string) =>
  ({
    type: 'TargetRunNeedsAttention',
    data: {
      ...where,
      targetId,
      stepId,
      detail: `whether the step ${stepId} took effect is unknown, and it may not be repeated on its own`,
    },
  }) as const
const lost = (stepId: string) =>
  ({ type: 'report-step-lost', data: { ...step(stepId), seq: 2, at, detail: 'reset by peer' } }) as const
const fetched = [claimed(), started('fetch'), succeeded('fetch'), sealed('fetch')]
const checked = [...fetched, started('check'), succeeded('check'), sealed('check')]

t.test('a target run is claimed by one executor at a time', async t => {
  spec(t).given().when(claim).thenRecords(claimed())
  spec(t).given(claimed()).when(claim).thenRejects('target-run-taken')
  spec(t).given(claimed(), started('fetch')).when(claim).thenRejects('target-run-taken')
  spec(t).given(claimed(), handedBack).when(claim).thenRecords(claimed(2))
  spec(t).given(claimed(), expired()).when(claim).thenRecords(claimed(2))
  spec(t).given(claimed(), over).when(claim).thenRejects('target-run-finished')
})

t.test('steps start in order, once, for the current claim', async t => {
  spec(t).given().when(start('fetch')).thenRejects('target-run-not-found')
  spec(t).given(claimed()).when(start('fetch')).thenRecords(started('fetch'))
  spec(t).given(claimed(), started('fetch')).when(start('fetch')).thenRejects('step-already-started')
  spec(t).given(claimed(), started('fetch')).when(start('check')).thenRejects('step-already-started')
  spec(t).given(claimed()).when(start('check')).thenRejects('step-out-of-order')
  spec(t).given(claimed()).when(start('fetch', 2)).thenRejects('step-out-of-order')
  spec(t).given(claimed()).when(start('nonsense')).thenRejects('step-out-of-order')
  spec(t)
    .given(...fetched)
    .when(start('fetch'))
    .thenRejects('step-already-started')
  spec(t)
    .given(...fetched)
    .when(start('fetch', 2))
    .thenRejects('step-out-of-order')
  spec(t)
    .given(...fetched)
    .when(start('check'))
    .thenRecords(started('check'))
  spec(t).given(claimed(), expired(), claimed(2)).when(start('fetch')).thenRejects('stale-epoch')
  spec(t).given(claimed(), expired()).when(start('fetch')).thenRejects('stale-epoch')
  spec(t)
    .given(claimed())
    .when(start('fetch', 1, 2))
    .thenRejects('stale-epoch')
  spec(t).given(claimed(), over).when(start('fetch')).thenRejects('target-run-finished')
})

t.test('success of the last step is success', async t => {
  spec(t).given(claimed(), started('fetch')).when(succeed('fetch')).thenRecords(succeeded('fetch'), sealed('fetch'))
  spec(t)
    .given(...checked, started('switch'))
    .when(succeed('switch'))
    .thenRecords(succeeded('switch'), sealed('switch'), done)
  spec(t).given(claimed()).when(succeed('fetch')).thenRejects('step-out-of-order')
  spec(t).given(claimed(), started('fetch')).when(succeed('check')).thenRejects('step-out-of-order')
})

t.test('a failed step ends the target run, unless it is allowed to fail', async t => {
  spec(t)
    .given(claimed(), started('fetch'))
    .when(fail('fetch'))
    .thenRecords(
      failed('fetch'),
      sealed('fetch'),
      skipped('check', 'earlier-step-failed'),
      skipped('switch', 'earlier-step-failed'),
      over,
    )
  spec(t)
    .given(...fetched, started('check'))
    .when(fail('check'))
    .thenRecords(failed('check'), sealed('check'))
  const two = rules.slice(0, 2)
  spec(t)
    .given(claimed(1, two), started('fetch'), succeeded('fetch'), started('check'))
    .when(fail('check'))
    .thenRecords(failed('check'), sealed('check'), done)
  const unclear = { ...fail('fetch'), data: { ...fail('fetch').data, class: 'lost-after-start' as const } }
  spec(t).given(claimed(), started('fetch')).when(unclear).thenRejects('invalid-input')
})

t.test('the same report again says nothing new', async t => {
  spec(t)
    .given(...fetched)
    .when(succeed('fetch'))
    .thenNothing()
  spec(t)
    .given(...fetched, started('check'), failed('check'))
    .when(fail('check'))
    .thenNothing()
  spec(t).given(claimed(), started('fetch'), failed('fetch'), over).when(fail('fetch')).thenNothing()
  spec(t)
    .given(claimed(), started('fetch'), failed('fetch'), over)
    .when(succeed('fetch'))
    .thenRejects('target-run-finished')
  spec(t)
    .given(...fetched)
    .when(fail('fetch'))
    .thenRejects('step-out-of-order')
})

t.test('what fails before any effect skips every step', async t => {
  const refused = {
    type: 'fail-target-run',
    data: { ...where, epoch: 1, seq: 1, at, class: 'refused', detail: 'port 22' },
  } as const
  const ended = { type: 'TargetRunFailed', data: { ...where, targetId, class: 'refused', detail: 'port 22' } } as const
  const rest = ['fetch', 'check', 'switch'].map(id => skipped(id, 'earlier-step-failed'))
  spec(t)
    .given(claimed())
    .when(refused)
    .thenRecords(...rest, ended)
  spec(t)
    .given(...fetched)
    .when(refused)
    .thenRecords(...rest.slice(1), ended)
  spec(t).given(claimed(), started('fetch')).when(refused).thenRejects('step-already-started')
})

t.test('a lost step is repeated only if its author said so', async t => {
  spec(t)
    .given(claimed(), started('fetch'))
    .when(lost('fetch'))
    .thenRecords(unknown('fetch', 'connection-lost', 'reset by peer'))
  spec(t)
    .given(...fetched, started('check'))
    .when(lost('check'))
    .thenRecords(unknown('check', 'connection-lost', 'reset by peer'), attention('check'))
  const again = [claimed(), started('fetch'), unknown('fetch', 'connection-lost', 'x')]
  spec(t)
    .given(...again)
    .when(claim)
    .thenRecords(claimed(2))
  spec(t)
    .given(...again)
    .when(succeed('fetch'))
    .thenRejects('stale-epoch')
  spec(t)
    .given(...again, claimed(2))
    .when(start('fetch', 1, 2))
    .thenRejects('step-already-started')
  spec(t)
    .given(...again, claimed(2))
    .when(start('fetch', 2, 2))
    .thenRecords(started('fetch', 2, 2))
  const stuck = [...fetched, started('check'), unknown('check', 'connection-lost', 'x')]
  spec(t)
    .given(...stuck)
    .when(claim)
    .thenRejects('target-run-not-free')
})

t.test('an endlessly lost step is not repeated for ever', async t => {
  const history = Array.from({ length: MAX_ATTEMPTS }, (_, i) => i + 1).flatMap(a => [
    claimed(a),
    started('fetch', a, a),
    unknown('fetch', 'lease-expired', 'x', a, a),
  ])
  t.match(fold(targetRun, history.slice(0, -3)), { status: 'claimable' })
  t.match(fold(targetRun, history), { status: 'needs-attention' })
})

t.test('an expired lease frees what was not started', async t => {
  const silent = 'no heartbeat from executor-a while the step was running'
  spec(t).given(claimed()).when(expire()).thenRecords(expired())
  spec(t)
    .given(...fetched)
    .when(expire())
    .thenRecords(expired())
  spec(t)
    .given(claimed(), started('fetch'))
    .when(expire())
    .thenRecords(expired(), unknown('fetch', 'lease-expired', silent))
  spec(t)
    .given(...checked, started('switch'))
    .when(expire())
    .thenRecords(expired(), unknown('switch', 'lease-expired', silent), attention('switch'))
  const early = { type: 'expire-lease', data: { ...where, epoch: 1, started: false } } as const
  spec(t).given(claimed()).when(early).thenRecords(expired())
  spec(t).given(claimed(), started('fetch')).when(early).thenRejects('step-already-started')
  spec(t).given(claimed(), expired()).when(expire()).thenNothing()
  spec(t).given(claimed(), expired(), claimed(2)).when(expire()).thenNothing()
  spec(t).given(claimed()).when(expire(2)).thenRejects('stale-epoch')
  spec(t).given(claimed(), over).when(expire()).thenNothing()
})

t.test('the next executor goes on where the last one stopped', async t => {
  const state = fold(targetRun, [...fetched, expired(), claimed(2)])
  if (state.status === 'absent') throw new Error('absent')
  t.same(
    remainingSteps(state).map(s => s.id),
    ['check', 'switch'],
  )
  t.equal(nextAttempt(state, 'fetch'), 2)
  spec(t)
    .given(...fetched, expired(), claimed(2))
    .when(start('check', 1, 2))
    .thenRecords(started('check', 1, 2))
})

t.test('handing back is for what is not running', async t => {
  spec(t).given(claimed()).when(handBack).thenRecords(handedBack)
  spec(t).given(claimed(), started('fetch')).when(handBack).thenRejects('step-already-started')
  spec(t).given(claimed(), handedBack).when(handBack).thenRejects('stale-epoch')
})

t.test('a cancelled step says what became of its process', async t => {
  const cancel = (termination: 'not-started' | 'terminated' | 'unconfirmed', more = {}) =>
    ({
      type: 'report-cancelled',
      data: { ...where, epoch: 1, seq: 4, at, termination, detail: 'asked', ...more },
    }) as const
  const stopped = { type: 'StepCancelled', data: { ...step('fetch'), seq: 4, at, detail: 'asked' } } as const
  const rest = [skipped('check', 'cancelled'), skipped('switch', 'cancelled')]
  const ended = { type: 'TargetRunCancelled', data: { ...where, targetId, detail: 'asked' } } as const
  const given = spec(t).given(claimed(), started('fetch'))
  given.when(cancel('not-started')).thenRecords(stopped, ...rest, ended)
  given
    .when(cancel('terminated'))
    .thenRecords(
      stopped,
      { type: 'RemoteProcessTerminated', data: { ...step('fetch'), detail: 'asked' } },
      ...rest,
      ended,
    )
  given
    .when(cancel('unconfirmed'))
    .thenRecords(
      stopped,
      { type: 'TerminationUnconfirmed', data: { ...step('fetch'), detail: 'asked' } },
      ...rest,
      ended,
    )
  given
    .when(cancel('not-started', { stepId: 'fetch', attempt: 1, output }))
    .thenRecords({ ...stopped, data: { ...stopped.data, output } }, sealed('fetch'), ...rest, ended)
  given.when(cancel('terminated', { stepId: 'check', attempt: 1 })).thenRejects('step-out-of-order')
  spec(t)
    .given(claimed())
    .when(cancel('not-started'))
    .thenRecords(skipped('fetch', 'cancelled'), ...rest, ended)
  spec(t).given(claimed(), expired()).when(cancel('not-started')).thenRejects('stale-epoch')
})

t.test('what nobody holds is cancelled at once', async t => {
  spec(t).given().when(cancelUnclaimed).thenRecords(neverTaken)
  spec(t).given(neverTaken).when(cancelUnclaimed).thenNothing()
  spec(t).given(neverTaken).when(claim).thenRejects('target-run-finished')
  spec(t)
    .given(claimed(), handedBack)
    .when(cancelUnclaimed)
    .thenRecords(...rules.map(r => skipped(r.id, 'cancelled')), neverTaken)
  spec(t).given(claimed()).when(cancelUnclaimed).thenRejects('target-run-taken')
  spec(t).given(claimed(), over).when(cancelUnclaimed).thenRejects('target-run-finished')
})

t.test('gaps and late reports are history and change nothing', async t => {
  const gap = { ...step('fetch'), seq: 2, from: 3, to: 5, detail: 'dropped' }
  const late = { ...where, epoch: 1, report: 'succeed-step', seq: 2 }
  const rejected = { type: 'ReportRejectedStaleEpoch', data: { ...late, currentEpoch: 2 } } as const
  spec(t)
    .given(claimed(), started('fetch'))
    .when({ type: 'report-output-gap', data: gap })
    .thenRecords({ type: 'OutputGapDetected', data: gap })
  spec(t)
    .given(claimed(), expired(), claimed(2))
    .when({ type: 'record-stale-report', data: late })
    .thenRecords(rejected)
  const before = [claimed(), expired(), claimed(2)]
  t.same(fold(targetRun, [...before, rejected]), fold(targetRun, before))
})

t.test('whoever decides on an older state than the newest changes nothing', async t => {
  const after = [claimed(), started('fetch'), succeeded('fetch'), sealed('fetch'), handedBack]
  const wants = (due: string[], skip: string[] = []) =>
    ({
      ...claim,
      data: { ...claim.data, due, skip: skip.map(stepId => ({ stepId, why: 'condition' as const })) },
    }) as const
  spec(t)
    .given(...after)
    .when(wants(['fetch', 'check']))
    .thenRejects('step-out-of-order')
  spec(t)
    .given(...after)
    .when(wants(['switch']))
    .thenRejects('step-out-of-order')
  spec(t)
    .given(...after)
    .when(wants(['check'], ['fetch']))
    .thenRejects('step-out-of-order')
  spec(t)
    .given(...after)
    .when(wants(['switch'], ['check']))
    .thenRecords(
      { ...claimed(2), data: { ...claimed(2).data, due: ['switch'] } },
      { type: 'StepSkipped', data: { ...where, stepId: 'check', epoch: 2, why: 'condition' } },
    )
  const skip = rules.map(({ id: stepId }) => ({ stepId, why: 'condition' as const }))
  const settle = { type: 'settle-target-run', data: { ...where, targetId, steps: rules, skip } } as const
  spec(t)
    .given(...after)
    .when(settle)
    .thenRejects('step-out-of-order')
})

t.test('one that was to stop for its time and is free when that is seen has run out of time', async t => {
  const wanted = { type: 'TargetRunCancellationRequested', data: { ...where, cause: 'timed-out' } } as const
  spec(t)
    .given(claimed(), wanted, handedBack)
    .when(cancelUnclaimed)
    .thenRecords(...rules.map(r => skipped(r.id, 'cancelled')), {
      type: 'TargetRunFailed',
      data: { ...where, targetId, class: 'timed-out', detail: 'its time was over' },
    })
})
