import t, { type Test } from 'tap'
import type { StepRule, TargetRunCommand, TargetRunEvent } from '../../schemas/target-run.ts'
import { specFor, specMeta } from '../../test/support/decider-spec.ts'
import { DomainError, fold } from './decider.ts'
import { targetRun } from './target-run.ts'
import { isTargetRunFinished, type KnownTargetRun, remainingSteps } from './target-run-state.ts'

const runId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
const targetId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const at = specMeta.at
const where = { runId, n: 3 }
const output = { bytes: 0, chunks: 0, sha256: 'a'.repeat(64), truncated: false }
const rule = (id: string, more: Partial<StepRule> = {}): StepRule => ({
  ...{ id, idempotent: false, continueOnError: false },
  ...more,
})

/** A target run as it is worked on: commands one after another, each told what it led to. */
class Story {
  readonly events: TargetRunEvent[] = []
  readonly #t: Test
  readonly #rules: StepRule[]
  #now = at

  constructor(t: Test, ...rules: StepRule[]) {
    this.#t = t
    this.#rules = rules
  }

  get state(): KnownTargetRun {
    const state = fold(targetRun, this.events)
    if (state.status === 'absent') throw new Error('absent')
    return state
  }

  get left(): string[] {
    return remainingSteps(this.state).map(step => step.id)
  }

  at(now: string): this {
    this.#now = now
    return this
  }

  /** Sends a command and checks the types of the events it leads to. */
  send(command: TargetRunCommand, ...types: TargetRunEvent['type'][]): this {
    const state = fold(targetRun, this.events)
    const decided = targetRun.decide(command, state, { ...specMeta, at: this.#now }, { targetId, runFinished: false })
    this.#t.same(
      decided.map(event => event.type),
      types,
      command.type,
    )
    this.events.push(...decided)
    return this
  }

  refuses(command: TargetRunCommand, code: string): this {
    const state = fold(targetRun, this.events)
    const facts = { targetId: undefined, runFinished: true }
    const decide = () => targetRun.decide(command, state, { ...specMeta, at: this.#now }, facts)
    this.#t.throws(decide, { code }, command.type)
    return this
  }

  claim(...due: string[]): this {
    return this.send(this.claiming(due), 'TargetRunClaimed')
  }

  claiming(due: string[], skip: string[] = []): TargetRunCommand {
    const data = {
      ...{ ...where, targetId, steps: this.#rules, due, executorId: 'east-1', executorKey: 'k'.repeat(43) },
      ...{ leaseSeconds: 15, target: { name: 'web-1', address: '192.0.2.1', port: 22 } },
      skip: skip.map(stepId => ({ stepId, why: 'condition' as const })),
    }
    return { type: 'claim-target-run', data }
  }

  start(stepId: string, attempt = 1): this {
    return this.send({ type: 'start-step', data: { ...this.#step(stepId, attempt), at } }, 'StepStarted')
  }

  succeed(stepId: string, ...then: TargetRunEvent['type'][]): this {
    this.start(stepId)
    const data = { ...this.#step(stepId, 1), seq: 1, at, output, exitCode: 0 }
    return this.send({ type: 'succeed-step', data }, 'StepSucceeded', 'OutputSealed', ...then)
  }

  failing(stepId: string, attempt = 1): TargetRunCommand {
    const failure = { class: 'exit-nonzero' as const, exitCode: 2, detail: 'exit code 2' }
    return { type: 'fail-step', data: { ...this.#step(stepId, attempt), seq: 1, at, output, ...failure } }
  }

  lose(stepId: string, attempt: number, ...types: TargetRunEvent['type'][]): this {
    const data = { ...this.#step(stepId, attempt), seq: 1, at, detail: 'reset by peer' }
    return this.send({ type: 'report-step-lost', data }, ...types)
  }

  check(stepId: string, verdict: 'happened' | 'did-not-happen' | 'unclear', ...types: TargetRunEvent['type'][]): this {
    const data = { ...this.#step(stepId, 1), seq: 1, at, verdict, detail: 'exit code 3' }
    return this.send({ type: 'report-check', data }, ...types)
  }

  resolve(stepId: string, as: 'succeeded' | 'failed' | 'retry'): TargetRunCommand {
    return { type: 'resolve-step', data: { ...where, stepId, as, reason: 'looked at the machine' } }
  }

  #step(stepId: string, attempt: number) {
    return { ...where, stepId, attempt, epoch: this.state.epoch }
  }
}

t.test('a claim is for a segment; the next begins where it ended', async t => {
  const story = new Story(t, rule('fetch'), rule('unpack'), rule('switch'))
  story
    .claim('fetch')
    .refuses(
      { type: 'start-step', data: { ...where, stepId: 'unpack', attempt: 1, epoch: 1, at } },
      'step-out-of-order',
    )
  story.succeed('fetch')
  t.equal(story.state.status, 'claimable', 'what the claim was for is done')
  story.send(story.claiming(['switch'], ['unpack']), 'TargetRunClaimed', 'StepSkipped')
  t.same(story.left, ['switch'])
  story.succeed('switch', 'TargetRunSucceeded')
})

t.test('outputs and exit codes stay known to what comes later', async t => {
  const story = new Story(t, rule('probe'), rule('switch')).claim('probe').start('probe')
  const data = {
    ...where,
    stepId: 'probe',
    attempt: 1,
    epoch: 1,
    seq: 1,
    at,
    output,
    exitCode: 0,
    outputs: { version: '4.2' },
  }
  story.send({ type: 'succeed-step', data }, 'StepSucceeded', 'OutputSealed')
  t.match(story.state.ended, { probe: { outcome: 'succeeded', exitCode: 0, outputs: { version: '4.2' } } })
})

t.test('a failed attempt is followed by another, later and later, until there are no more', async t => {
  const retry = { attempts: 3, delaySeconds: 10, maxDelaySeconds: 15 }
  const story = new Story(t, rule('fetch', { retry }), rule('switch')).claim('fetch', 'switch').start('fetch')
  story.send(story.failing('fetch'), 'StepAttemptFailed', 'OutputSealed', 'StepRetryScheduled')
  const first = story.events.at(-1)
  if (first?.type !== 'StepRetryScheduled') throw new Error(first?.type)
  const seconds = (Date.parse(first.data.notBefore) - Date.parse(at)) / 1000
  t.ok(seconds >= 8 && seconds <= 12, `${seconds} s is 10 s give or take a fifth`)
  story.refuses(story.claiming(['fetch', 'switch']), 'target-run-not-free')
  story.at(first.data.notBefore).claim('fetch', 'switch').start('fetch', 2)
  story.send(story.failing('fetch', 2), 'StepAttemptFailed', 'OutputSealed', 'StepRetryScheduled')
  story.at('2030-01-01T00:10:00.000Z').claim('fetch', 'switch').start('fetch', 3)
  story.send(story.failing('fetch', 3), 'StepFailed', 'OutputSealed', 'StepSkipped', 'TargetRunFailed')
})

t.test('only the failures worth it are tried again', async t => {
  const story = new Story(t, rule('fetch', { retry: { attempts: 3, on: ['refused'] } })).claim('fetch').start('fetch')
  story.send(story.failing('fetch'), 'StepFailed', 'OutputSealed', 'TargetRunFailed')
})

t.test('a target that is not reached counts as an attempt, so that it is not tried for ever', async t => {
  const away = (epoch: number): TargetRunCommand => ({
    type: 'fail-target-run',
    data: { ...where, epoch, seq: 1, at, class: 'unreachable', detail: 'no route' },
  })
  const story = new Story(t, rule('fetch', { retry: { attempts: 2, delaySeconds: 0 } })).claim('fetch')
  story.send(away(1), 'StepRetryScheduled').claim('fetch').send(away(2), 'StepSkipped', 'TargetRunFailed')
  t.match(story.events.at(-1), { data: { class: 'unreachable' } })
})

t.test('after a failure what succeeded is undone in reverse order, then come the handlers', async t => {
  const story = new Story(
    t,
    ...[
      rule('stop', { undo: 'stop.undo' }),
      rule('copy', { undo: 'copy.undo' }),
      rule('start', { undo: 'start.undo' }),
    ],
    ...[
      rule('stop.undo', { phase: 'undo' }),
      rule('copy.undo', { phase: 'undo' }),
      rule('start.undo', { phase: 'undo' }),
    ],
    rule('tell', { phase: 'handler' }),
  )
  story.claim('stop', 'copy', 'start').succeed('stop').succeed('copy').start('start')
  story.send(story.failing('start'), 'StepFailed', 'OutputSealed', 'CompensationStarted')
  t.same(story.left, ['copy.undo', 'stop.undo', 'tell'], 'what failed has nothing to undo')
  t.match(story.state.recovery, { class: 'exit-nonzero', failedStep: 'start' })
  story.claim('copy.undo', 'stop.undo').start('copy.undo')
  story.send(story.failing('copy.undo'), 'StepFailed', 'OutputSealed')
  story.succeed('stop.undo').claim('tell').succeed('tell', 'CompensationCompleted', 'TargetRunFailed')
  t.match(story.events.slice(-2), [
    { data: { failed: ['copy.undo'] } },
    { data: { class: 'exit-nonzero', detail: 'exit code 2' } },
  ])
})

t.test('a target that went away is not undone any more', async t => {
  const story = new Story(t, rule('stop', { undo: 'stop.undo' }), rule('start'), rule('stop.undo', { phase: 'undo' }))
  story.claim('stop', 'start').succeed('stop').start('start')
  story.send(story.failing('start'), 'StepFailed', 'OutputSealed', 'CompensationStarted').claim('stop.undo')
  const away = { ...where, epoch: 2, seq: 1, at, class: 'unreachable', detail: 'no route' } as const
  story.send({ type: 'fail-target-run', data: away }, 'StepSkipped', 'CompensationCompleted', 'TargetRunFailed')
  t.match(story.events.slice(-2), [{ data: { failed: ['stop.undo'] } }, { data: { class: 'exit-nonzero' } }])
})

t.test('a check tells what became of a step', async t => {
  const lost = () => {
    const story = new Story(t, rule('migrate', { checkable: true }), rule('start'))
    return story.claim('migrate', 'start').start('migrate').lose('migrate', 1, 'StepOutcomeUnknown')
  }
  const asked = lost().claim('migrate', 'start')
  asked.refuses(
    { type: 'start-step', data: { ...where, stepId: 'migrate', attempt: 2, epoch: 2, at } },
    'step-out-of-order',
  )
  asked.check('migrate', 'did-not-happen', 'StepChecked').start('migrate', 2)
  const happened = lost().claim('migrate', 'start').check('migrate', 'happened', 'StepChecked')
  t.same(happened.left, ['start'])
  happened.succeed('start', 'TargetRunSucceeded')
  const unclear = lost().claim('migrate', 'start').check('migrate', 'unclear', 'StepChecked', 'TargetRunNeedsAttention')
  t.match(unclear.state, { status: 'needs-attention', stepId: 'migrate' })
  const expired = lost()
    .claim('migrate')
    .send({ type: 'expire-lease', data: { ...where, epoch: 2 } }, 'LeaseExpired')
  t.match(expired.state, { status: 'claimable', verify: { stepId: 'migrate', attempt: 1 } }, 'still to be asked')
  const away = { ...where, epoch: 2, seq: 1, at, class: 'unreachable', detail: 'no route' } as const
  const unknown = lost().claim('migrate').send({ type: 'fail-target-run', data: away }, 'TargetRunNeedsAttention')
  t.match(unknown.state, { status: 'needs-attention', stepId: 'migrate', verify: undefined }, 'nobody could ask')
  const impossible = { ...where, targetId, steps: [rule('migrate')], stepId: 'migrate' }
  const gone = { class: 'credential-unavailable', detail: 'revoked' } as const
  lost().send({ type: 'fail-unclaimed-target-run', data: { ...impossible, ...gone } }, 'TargetRunNeedsAttention')
})

t.test('a person says what became of a step', async t => {
  const unclear = () => {
    const story = new Story(
      t,
      rule('migrate', { undo: 'migrate.undo' }),
      rule('start'),
      rule('migrate.undo', { phase: 'undo' }),
    )
    story.claim('migrate', 'start').start('migrate').lose('migrate', 1, 'StepOutcomeUnknown', 'TargetRunNeedsAttention')
    return story.refuses(story.claiming(['migrate']), 'target-run-not-free')
  }
  const good = unclear()
  good.refuses(good.resolve('start', 'succeeded'), 'step-not-unclear')
  good.refuses(good.resolve('migrate', 'retry'), 'run-finished')
  good.send(good.resolve('migrate', 'succeeded'), 'StepResolved').claim('start').succeed('start', 'TargetRunSucceeded')
  good.refuses(good.resolve('migrate', 'failed'), 'step-not-unclear')
  const again = unclear()
  again.send(again.resolve('migrate', 'retry'), 'StepResolved').claim('migrate', 'start').start('migrate', 2)
  const bad = unclear()
  bad.send(bad.resolve('migrate', 'failed'), 'StepResolved', 'StepSkipped', 'TargetRunFailed')
  t.match(bad.events.at(-1), { data: { class: 'lost-after-start' } })
})

t.test('a wait holds nobody and ends in its time', async t => {
  const until = '2030-01-01T00:05:00.000Z'
  const story = new Story(t, rule('stop'), rule('settle'), rule('start'))
  const wait = { ...where, targetId, steps: [rule('stop'), rule('settle'), rule('start')], stepId: 'settle', until }
  story.refuses({ type: 'begin-wait', data: wait }, 'step-out-of-order')
  const skip = [{ stepId: 'stop', why: 'not-selected' as const }]
  story.send({ type: 'begin-wait', data: { ...wait, skip } }, 'StepSkipped', 'StepWaitStarted')
  story.refuses(story.claiming(['start']), 'target-run-not-free')
  const end: TargetRunCommand = { type: 'end-wait', data: { ...where, stepId: 'settle' } }
  story.refuses(end, 'target-run-not-free')
  story.at(until).send(end, 'StepWaitEnded').send(end).claim('start').succeed('start', 'TargetRunSucceeded')
})

t.test('what needs no executor ends without one', async t => {
  const rules = [rule('fetch'), rule('switch')]
  const skip = rules.map(({ id }) => ({ stepId: id, why: 'condition' as const }))
  const settle = { ...where, targetId, steps: rules, skip }
  const story = new Story(t, ...rules)
  story.refuses({ type: 'settle-target-run', data: { ...settle, skip: skip.slice(1) } }, 'invalid-input')
  story.send({ type: 'settle-target-run', data: settle }, 'StepSkipped', 'StepSkipped', 'TargetRunSucceeded')
  const why = { stepId: 'fetch', class: 'invalid-template', detail: 'no such key: tags.site' } as const
  const data = { ...where, targetId, steps: rules, ...why }
  const impossible = new Story(t, ...rules)
  impossible.send({ type: 'fail-unclaimed-target-run', data }, 'StepSkipped', 'StepSkipped', 'TargetRunFailed')
  t.match(impossible.state, { status: 'failed', targetId })
})

t.test('a target run is cancelled by itself, whoever has it', async t => {
  const cancel: TargetRunCommand = { type: 'cancel-target-run', data: where }
  new Story(t, rule('fetch')).send(cancel, 'TargetRunCancellationRequested', 'TargetRunCancelled').send(cancel)
  new Story(t, rule('fetch')).refuses(cancel, 'target-run-not-found')
  const held = new Story(t, rule('fetch')).claim('fetch').send(cancel, 'TargetRunCancellationRequested').send(cancel)
  const over = { ...where, epoch: 1, seq: 1, at, termination: 'not-started', detail: 'asked' } as const
  held.send({ type: 'report-cancelled', data: over }, 'StepSkipped', 'TargetRunCancelled').send(cancel)
  const done = new Story(t, rule('fetch')).claim('fetch').succeed('fetch', 'TargetRunSucceeded')
  done.refuses(cancel, 'target-run-finished')
})

t.test('a step is cancelled while it runs, and only then', async t => {
  const cancel: TargetRunCommand = { type: 'cancel-step', data: { ...where, stepId: 'fetch' } }
  const story = new Story(t, rule('fetch')).claim('fetch').refuses(cancel, 'step-not-running').start('fetch')
  story.send(cancel, 'StepCancellationRequested').send(cancel)
  story.refuses({ type: 'cancel-step', data: { ...where, stepId: 'other' } }, 'step-not-running')
})

t.test('time that is over ends a target run as timed out', async t => {
  const late: TargetRunCommand = { type: 'time-out-target-run', data: { ...where, targetId } }
  const held = new Story(t, rule('fetch')).claim('fetch').send(late, 'TargetRunCancellationRequested').send(late)
  const stopped = { ...where, epoch: 1, seq: 1, at, termination: 'not-started', detail: 'stopped' } as const
  held.send({ type: 'report-cancelled', data: stopped }, 'StepSkipped', 'TargetRunFailed')
  t.match(held.events.at(-1), { data: { class: 'timed-out' } })
  const free = new Story(t, rule('fetch'), rule('switch')).claim('fetch').succeed('fetch')
  free.send(late, 'StepSkipped', 'TargetRunFailed')
})

t.test('why nobody took it is told', async t => {
  const ending = (why: 'cancelled' | 'stopped' | 'gate-closed'): TargetRunCommand => ({
    type: 'end-unclaimed-target-run',
    data: { ...where, targetId, why },
  })
  const free = () => new Story(t, rule('fetch'), rule('switch')).claim('fetch').succeed('fetch')
  free().send(ending('stopped'), 'StepSkipped', 'TargetRunCancelled')
  const closed = free().send(ending('gate-closed'), 'StepSkipped', 'TargetRunFailed')
  t.match(closed.events.at(-1), { data: { class: 'stopped' } })
  t.ok(isTargetRunFinished(closed.state))
  const unclear = new Story(t, rule('fetch')).claim('fetch').start('fetch')
  unclear
    .lose('fetch', 1, 'StepOutcomeUnknown', 'TargetRunNeedsAttention')
    .refuses(ending('cancelled'), 'target-run-not-free')
  t.throws(() => targetRun.decide(ending('cancelled'), closed.state, specMeta, undefined), DomainError)
})

t.test('given/when/then of a segment, in full', async t => {
  const rules = [rule('fetch')]
  const claim = {
    ...{ ...where, targetId, steps: rules, due: ['fetch'], executorId: 'east-1', executorKey: 'k'.repeat(43) },
    target: { name: 'web-1', address: '192.0.2.1', port: 22 },
  }
  specFor(t, targetRun)
    .given()
    .when({ type: 'claim-target-run', data: { ...claim, leaseSeconds: 15 } })
    .thenRecords({ type: 'TargetRunClaimed', data: { ...claim, epoch: 1, deadline: '2030-01-01T00:00:15.000Z' } })
})
