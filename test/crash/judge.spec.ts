import t from 'tap'
import type { Recorded } from '../../schemas/events.ts'
import type { Effect } from './effects.ts'
import { endings } from './judge.ts'
import { brokenSteps } from './judge-steps.ts'

const runs = [{ runId: 'run-1', token: 'run-1' }]
const address = '127.0.0.1'
// Only what the judge looks at.
const event = (type: string, data: object) => ({ type, data: { runId: 'run-1', n: 0, ...data } }) as Recorded
const claimed = event('TargetRunClaimed', { target: { address } })
const of =
  (stepId: string) =>
  (type: string, more: object = {}) =>
    event(type, { stepId, attempt: 1, ...more })
const ran = (step: string): Effect => ({ token: 'run-1', step, address, at: 0 })
const found = (log: Recorded[], effects: Effect[]) => brokenSteps([claimed, ...log], effects, runs)

t.test('a step that ran once and succeeded is as it should be', async t => {
  const first = of('first')
  t.same(found([first('StepStarted'), first('StepSucceeded')], [ran('first')]), [])
  t.match(found([first('StepStarted'), first('StepSucceeded')], []), [/succeeded and never ran/])
  t.same(found([of('pause')('StepSucceeded')], []), [], 'a wait takes no effect')
  t.match(found([], [ran('first')]), [/ran 1 times, was started 0 times/])
  t.match(found([first('StepStarted')], [ran('first'), ran('first')]), [/ran 2 times, was started 1 times/])
})

t.test('nothing is started again without leave', async t => {
  const first = of('first')
  const again = (...between: Recorded[]) => [first('StepStarted'), ...between, first('StepStarted')]
  t.match(found(again(), []), [/started again without leave/])
  t.match(found(again(first('StepOutcomeUnknown')), []), [/started again without leave/])
  t.match(found(again(first('StepChecked', { verdict: 'unclear' })), []), [/started again without leave/])
  t.match(found(again(first('StepResolved', { as: 'failed' })), []), [/started again without leave/])
  t.match(found(again(first('StepRetryScheduled', { started: false })), []), [/started again without leave/])
  t.same(found(again(first('StepRetryScheduled', { started: true })), []), [])
  t.same(found(again(first('StepResolved', { as: 'retry' })), []), [])
  t.same(found(again(first('StepChecked', { verdict: 'did-not-happen' })), []), [])
})

t.test('a step takes effect again only where its author or a person said so', async t => {
  const [first, idempotent] = [of('first'), of('again')]
  const twice = (step: typeof first, ...between: Recorded[]) => [step('StepStarted'), ...between, step('StepStarted')]
  const both = (step: string) => [ran(step), ran(step)]
  t.same(found(twice(first, first('StepRetryScheduled', { started: true })), both('first')), [])
  t.same(found(twice(first, first('StepResolved', { as: 'retry' })), both('first')), [])
  t.match(found(twice(first, first('StepChecked', { verdict: 'did-not-happen' })), both('first')), [/leave for 1/])
  t.same(found(twice(idempotent, idempotent('StepOutcomeUnknown')), both('again')), [])
})

t.test('a run that waits for a person has not ended', async t => {
  const log = [event('RunRequested', {}), event('RunNeedsAttention', {})]
  t.same([...endings(log)], [['run-1', undefined]])
  t.same([...endings([...log, event('RunFailed', {})])], [['run-1', 'RunFailed']])
})
