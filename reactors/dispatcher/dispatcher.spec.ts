import pino from 'pino'
import t, { type Test } from 'tap'
import { fold, job, target as targetDecider } from '../../command-api/domain/index.ts'
import { systemClock } from '../../infra/clock.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Assignment, PullRequest } from '../../schemas/bus.ts'
import { History } from '../../test/support/history.ts'
import { ActiveRuns, type Reservation } from '../runs/active-runs.ts'
import { Dispatcher } from './dispatcher.ts'

const runId = derivedId('run', 'nightly')
const target = { targetId: derivedId('target', 0), name: 'web-1', address: '10.0.0.1', port: 22 }
const action = { uses: 'noop', with: {} } as const
const rendered = { id: 'look', action, timeoutSeconds: 60, continueOnError: false }
const jobId = derivedId('job', 'uptime')
const step = { id: 'look', timeoutSeconds: 60, continueOnError: false, idempotent: false, ...action }
const known = {
  job: fold(job, [
    { type: 'JobDefined', data: { jobId, name: 'uptime' } },
    { type: 'JobVersionPublished', data: { jobId, version: 1, steps: [step], digest: 'ab'.repeat(32) } },
  ]),
  target: fold(targetDecider, [
    {
      type: 'TargetRegistered',
      data: { ...target, platform: 'linux', tags: {}, hostKeyPolicy: 'first-use' },
    },
  ]),
}

const assignmentOf = ({ run, n }: Reservation): Assignment => ({
  ...{ runId: run.runId, n, epoch: 1, leaseSeconds: 15 },
  target: { ...target, hostKey: { policy: 'first-use' } },
  steps: [rendered],
  attempts: {},
  safety: { targets: 2, confirmed: [] },
})

/** A dispatcher whose claims are made when the test says so. */
function dispatching(t: Test, { heard = true } = {}) {
  const runs = new ActiveRuns(undefined)
  const claiming: Array<(granted: boolean) => void> = []
  const takenBack: number[] = []
  const dispatcher = new Dispatcher({
    // Every target looks the same here, and no credential is asked for.
    commands: {
      known: async name => (name === 'job' ? known.job : known.target) as never,
      active: async () => ({ status: 'absent' }),
      lacks: async () => undefined,
      catalogue: () => Promise.reject(new Error('nothing was agreed to')),
    },
    claims: {
      takeBack: async ({ n }) => void takenBack.push(n),
      settle: async () => undefined,
      claim: reservation =>
        new Promise(resolve => {
          claiming.push(granted => resolve(granted ? assignmentOf(reservation) : undefined))
        }),
    },
    clock: systemClock,
    ...{ runs, log: pino({ level: 'silent' }), onRelease: () => undefined },
  })
  t.teardown(() => dispatcher.stop())
  const answers: Array<[question: string, assignments: number]> = []
  const pull = (question: string, { instance = 'first', waitMs = 10_000, slots = 4 } = {}) => {
    const signed = { version: '0.1.0', protocol: 1, at: '2030-01-01T00:00:00.000Z', signature: 'not looked at here' }
    const executor = { executorId: 'east-1', instanceId: derivedId('instance', instance), publicKey: 'k'.repeat(43) }
    const request: PullRequest = { ...executor, slots, waitMs, labels: {}, ...signed }
    const reply = (data: string | Uint8Array) => {
      answers.push([question, JSON.parse(String(data)).assignments.length])
    }
    const deliver = async (data: string | Uint8Array) => {
      if (heard) reply(data)
      return heard
    }
    dispatcher.pull(request, { reply, deliver, subject: 'opsc.dispatch.v1.pull.default' }, {})
  }
  const trigger = (targets: number) => {
    const history = new History()
    const targetIds = Array.from({ length: targets }, (_, n) => derivedId('target', n))
    const version = { jobId, jobVersion: 1, jobName: 'uptime', selection: { targetIds } }
    const initiator = { kind: 'user', id: 'anna' } as const
    for (const event of [
      { type: 'RunRequested', data: { runId, ...version, targets, initiator, maxParallel: targets } },
      { type: 'TargetsResolved', data: { runId, from: 0, targetIds } },
      { type: 'RunStarted', data: { runId } },
    ] as const) {
      runs.apply(history.record(event))
    }
    dispatcher.wake()
  }
  /** Looking work up takes a few turns of the loop; then that many claims are under way. */
  const claims = async (count: number) => {
    while (claiming.length < count) await new Promise(resolve => setImmediate(resolve))
    return claiming.splice(0)
  }
  return { dispatcher, answers, pull, trigger, claims, takenBack }
}

const settled = () => new Promise(resolve => setImmediate(resolve))

t.test('a process that asks anew is answered there and not where it asked before', async t => {
  const { answers, pull, trigger, claims } = dispatching(t)
  pull('before the connection was lost')
  pull('after')
  t.same(answers, [['before the connection was lost', 0]])
  trigger(1)
  for (const settle of await claims(1)) settle(true)
  await settled()
  t.same(answers.slice(1), [['after', 1]])
})

t.test('what was being claimed for the older question is the answer to the newest', async t => {
  const { answers, pull, trigger, claims } = dispatching(t)
  pull('first')
  trigger(2)
  const under = await claims(2)
  pull('second')
  pull('third', { slots: 3 })
  t.same(answers, [], 'nobody is sent away while there may be work')
  for (const settle of under) settle(true)
  await settled()
  t.same(answers, [
    ['first', 0],
    ['second', 0],
    ['third', 2],
  ])
  pull('fourth')
  t.equal(answers.length, 3, 'the next question waits for work of its own')
})

t.test('when nothing came of the claim the newer question waits on', async t => {
  const { dispatcher, answers, pull, trigger, claims } = dispatching(t)
  pull('first')
  trigger(1)
  const under = await claims(1)
  pull('second')
  for (const settle of under) settle(false)
  await settled()
  t.same(answers, [['first', 0]])
  await dispatcher.stop()
  t.same(answers.slice(1), [['second', 0]])
})

t.test('whoever is dismissed while work is looked up for it is not kept waiting for more', async t => {
  const { dispatcher, answers, pull, trigger, claims } = dispatching(t)
  pull('before it was revoked')
  trigger(1)
  const under = await claims(1)
  dispatcher.dismiss('east-1')
  for (const settle of under) settle(false)
  await settled()
  t.same(answers, [['before it was revoked', 0]])
  pull('as it may from now on')
  t.equal(answers.length, 1)
  dispatcher.dismiss('east-1')
  t.same(answers.slice(1), [['as it may from now on', 0]])
})

t.test('what nobody hears of is taken back', async t => {
  const { answers, pull, trigger, claims, takenBack } = dispatching(t, { heard: false })
  pull('from a process that is gone')
  trigger(2)
  for (const settle of await claims(2)) settle(true)
  await settled()
  t.same(answers, [])
  t.same(takenBack, [0, 1])
})

t.test('an executor that was started again asks in the place of the process before', async t => {
  const { dispatcher, answers, pull, trigger, claims } = dispatching(t)
  const asked = (instance: string) =>
    dispatcher.isAsked({ executorId: 'east-1', instanceId: derivedId('instance', instance) })
  pull('before it died')
  t.ok(asked('first'))
  pull('after', { instance: 'second' })
  t.notOk(asked('first'), 'nobody hears what that one is answered')
  t.ok(asked('second'))
  t.same(answers, [['before it died', 0]])
  trigger(1)
  for (const settle of await claims(1)) settle(true)
  await settled()
  t.same(answers.slice(1), [['after', 1]])
  t.notOk(asked('second'), 'it is answered')
})
