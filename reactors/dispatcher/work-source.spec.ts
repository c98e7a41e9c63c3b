import t from 'tap'
import { derivedId } from '../../infra/ids.ts'
import { dispatching, type Given, NOW, targetId } from '../../test/support/dispatching.ts'
import { command, versionOf } from '../../test/support/workflow.ts'
import { prepare } from './work-source.ts'

const [login, other, token] = [1, 2, 3].map(n => derivedId('credential', n)) as [string, string, string]
const web = { tags: { env: 'prod', rack: 'r1' }, credentialId: login }
const secret = (id: string, name = 'token') => ({
  ...{ id, uses: 'ssh.command', with: { command: 'login', stdin: `\${{ params.${name} }}` } },
})

/** A run on one target, unless it says more, and what is to become of a target run of it. */
function given(steps: unknown[], more: Partial<Given> = {}, definition: object = {}) {
  const version = versionOf({ steps, ...definition })
  const world = dispatching({ version, targets: [web], credentials: { [login]: 2 }, ...more })
  return { ...world, next: (n = 0) => prepare(world.commands, { run: world.run, n }, NOW) }
}
const ids = (steps: ReadonlyArray<{ id: string }>) => steps.map(({ id }) => id)

t.test('an executor is given the steps with all they need', async t => {
  const { next } = given([command('a'), command('b')])
  const work = await next()
  t.match(work, {
    ...{ kind: 'claim', skip: [], secrets: [], environment: 'production' },
    target: { targetId: targetId(0), name: 'web-0', hostKey: { policy: 'first-use' } },
    credential: { credentialId: login, version: 2, username: 'deploy' },
  })
  if (work.kind !== 'claim') return
  t.same(
    [ids(work.due), ids(work.rules)],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  )
  t.ok(work.bytes > JSON.stringify(work.due).length)
})

t.test(
  'the credential of the run counts before that of the target, and where nobody logs in none is needed',
  async t => {
    const credentials = { [login]: 2, [other]: 1 }
    const own = given([command('a')], { request: { credentialId: other }, credentials })
    t.match(await own.next(), { credential: { credentialId: other, version: 1 } })
    const nothing = given([{ id: 'a', uses: 'noop' }], { targets: [{}] })
    t.match(await nothing.next(), { kind: 'claim', credential: undefined, environment: undefined })
    const checked = given([{ id: 'a', uses: 'noop', check: 'true' }])
    t.match(await checked.next(), { credential: { credentialId: login } }, 'a check logs in')
  },
)

t.test('what cannot be done at all is said before anything is connected to', async t => {
  const impossible = async (world: ReturnType<typeof given>, why: object, stepId = 'a') =>
    t.match(await world.next(), { kind: 'impossible', stepId, why })
  const one = [command('a')]
  const internal = (detail: RegExp) => ({ class: 'internal', detail })
  await impossible(given(one, { request: { jobVersion: 7 } }), internal(/no version 7/), 'unknown')
  await impossible(given(one, { targets: [{ ...web, gone: true }] }), internal(/was decommissioned/))
  const unavailable = (detail: RegExp) => ({ class: 'credential-unavailable', detail })
  await impossible(given(one, { targets: [{}] }), unavailable(/neither the job nor the target/))
  await impossible(given(one, { credentials: { [login]: 0 } }), unavailable(/was revoked/))
  await impossible(given(one, { credentials: {} }), unavailable(/there is no credential/))
  const put = { id: 'a', uses: 'file.put', with: { path: '${{ target.name }}', content: 'x' } }
  await impossible(given([put]), { class: 'invalid-template', detail: /an absolute path/ })
  const missing = command('a', 'echo ${{ params.who }}')
  await impossible(given([missing], {}, { parameters: { who: { type: 'string' } } }), { class: 'invalid-template' })
})

t.test('what whoever asked may not use any more is not begun with', async t => {
  const two = { targets: [web, web] }
  const one = given([command('a')], { ...two, lost: [targetId(0)] })
  const why = { class: 'denied', detail: /needs target:use on the target/ }
  t.match(await one.next(0), { kind: 'impossible', stepId: 'a', why })
  t.match(await one.next(1), { kind: 'claim' }, 'the other goes on')
  const waits = given([{ id: 'w', uses: 'wait.time', with: { seconds: 5 } }], { ...two, lost: [targetId(0)] })
  t.match(await waits.next(0), { kind: 'impossible', stepId: 'w', why })
  const begun = given([command('a'), command('b')], { ...two, lost: [targetId(0)] })
  begun.succeed(0, 'a')
  t.match(await begun.next(0), { kind: 'claim' }, 'what was begun goes on')
  const denied = { class: 'denied', detail: /needs credential:use on the credential/ }
  const key = given([command('a')], { lost: [login] })
  t.match(await key.next(), { kind: 'impossible', stepId: 'a', why: denied })
  const without = given([{ id: 'a', uses: 'noop' }], { lost: [login] })
  t.match(await without.next(), { kind: 'claim' }, 'only what needs it')
  const parameters = { token: { type: 'secret' } }
  const read = { request: { parameters: { token } }, credentials: { [login]: 1, [token]: 1 }, lost: [token] }
  const reads = given([command('a'), secret('b')], read, { parameters })
  const work = await reads.next()
  t.same(work.kind === 'claim' && ids(work.due), ['a'], 'what comes before is done')
  reads.succeed(0, 'a')
  t.match(await reads.next(), { kind: 'impossible', stepId: 'b', why: denied })
})

t.test('what a step reads is in the claim, in the version of now', async t => {
  const parameters = { token: { type: 'secret' }, more: { type: 'secret' } }
  const request = { parameters: { token, more: other } }
  const steps = [command('a'), secret('b'), secret('c', 'more'), secret('d')]
  const both = given(steps, { request, credentials: { [login]: 1, [token]: 3, [other]: 1 } }, { parameters })
  t.match(await both.next(), {
    kind: 'claim',
    secrets: [
      { stepId: 'b', credentialId: token, version: 3 },
      { stepId: 'c', credentialId: other, version: 1 },
      { stepId: 'd', credentialId: token, version: 3 },
    ],
  })
})

t.test('before a step whose secret is not to be had the others are done', async t => {
  const parameters = { token: { type: 'secret' }, more: { type: 'secret' } }
  const request = { parameters: { token, more: other } }
  const left = { ...command('left'), if: 'target.name == "db"' }
  const gone = { ...command('gone'), if: 'target.name == "db"' }
  const steps = [secret('b'), left, command('c'), secret('d', 'more'), gone, command('e')]
  const world = given(steps, { request, credentials: { [login]: 1, [token]: 1, [other]: 0 } }, { parameters })
  const first = await world.next()
  t.match(first, { kind: 'claim', secrets: [{ stepId: 'b' }], skip: [{ stepId: 'left' }] })
  if (first.kind === 'claim') t.same([ids(first.due), first.skip.length], [['b', 'c'], 1])
  world.succeed(0, 'b')
  world.tell({ type: 'StepSkipped', data: { ...world.place(0), stepId: 'left', epoch: 1, why: 'condition' } })
  world.succeed(0, 'c')
  t.match(await world.next(), { kind: 'impossible', stepId: 'd', why: { class: 'credential-unavailable' } })
})

t.test('where everything is left out nobody is asked for', async t => {
  const steps = [
    command('a', 'true', { if: 'target.name == "db"' }),
    command('b', 'true', { on: { labels: 'env=lab' } }),
  ]
  const work = await given(steps, { credentials: {} }).next()
  t.same(work.kind === 'settle' && work.skip, [
    { stepId: 'a', why: 'condition' },
    { stepId: 'b', why: 'not-selected' },
  ])
})

t.test('a wait is begun by itself, once what comes before is over', async t => {
  const wait = { id: 'settle', uses: 'wait.time', with: { seconds: 90 } }
  const world = given([command('a'), wait, command('b')])
  const first = await world.next()
  t.same(first.kind === 'claim' && ids(first.due), ['a'])
  world.succeed(0, 'a')
  t.match(await world.next(), { kind: 'wait', stepId: 'settle', until: '2030-01-01T00:01:30.000Z', skip: [] })
})

t.test('at a barrier a target waits for the others, at a gate for the run', async t => {
  const linear = { strategy: { pace: 'linear' } }
  const skipped = command('b', 'true', { if: 'target.name == "db"' })
  const two = given([command('a'), skipped, command('c')], { targets: [web, web] }, linear)
  two.succeed(0, 'a')
  t.match(await two.next(0), { kind: 'hold', hold: { step: 'b' } })
  two.succeed(1, 'a')
  t.match(
    await two.next(0),
    { kind: 'hold', hold: { step: 'c' }, leftOut: ['b'] },
    'it says what it leaves out on its way',
  )

  const approval = { id: 'ask', uses: 'approval', with: { prompt: 'Go?' } }
  const gated = given([command('a'), approval, command('b')])
  const first = await gated.next()
  t.same(first.kind === 'claim' && ids(first.due), ['a'])
  gated.succeed(0, 'a')
  t.match(await gated.next(), { kind: 'hold', hold: { step: 'b' } })
  gated.tell({ type: 'RunStepSkipped', data: { runId: gated.run.runId, stepId: 'ask', why: 'condition' } })
  const then = await gated.next()
  t.same(then.kind === 'claim' && ids(then.due), ['b'])
})

t.test('targets of one group are worked on one after another, also by a process that has just begun', async t => {
  const rack = (name: string) => ({ ...web, tags: { rack: name } })
  const more = { targets: [rack('r1'), rack('r1'), rack('r2'), web, {}], request: { strategy: { serialBy: 'rack' } } }
  const world = given([{ id: 'a', uses: 'noop' }], more)
  t.match(await world.next(0), { kind: 'claim' })
  t.match(await world.next(1), { kind: 'hold', hold: { group: 'r1' }, leftOut: [] })
  t.match(await world.next(2), { kind: 'claim' })
  t.match(await world.next(4), { kind: 'claim' }, 'one without the tag is in no group')
  world.claim(0, 'a')
  world.over(0)
  t.match(await world.next(1), { kind: 'claim' })

  const restarted = given([{ id: 'a', uses: 'noop' }], more)
  restarted.claim(1, 'a')
  t.match(await restarted.next(0), { kind: 'hold', hold: { group: 'r1' } })
  t.match(await restarted.next(2), { kind: 'claim' })
})

t.test('after a restart it is the turn of the one of a group that was worked on last', async t => {
  const rack = { ...web, tags: { rack: 'r1' } }
  const more = { targets: [rack, rack], request: { strategy: { serialBy: 'rack' } } }
  const world = given([{ id: 'a', uses: 'noop' }], more)
  const step = (n: number) => ({ ...world.place(n), stepId: 'a', attempt: 1, epoch: 1 })
  // The first waited for a person while the second had its turn, and is not the first in line for that.
  world.claim(0, 'a')
  const detail = 'nobody knows'
  world.tell({
    type: 'TargetRunNeedsAttention',
    data: { ...world.place(0), targetId: targetId(0), stepId: 'a', detail },
  })
  world.claim(1, 'a')
  world.tell({ type: 'StepResolved', data: { ...step(0), as: 'retry', reason: 'it did not happen' } })
  world.tell({ type: 'TargetRunHandedBack', data: { ...world.place(1), epoch: 1, seq: 1, detail: 'stopping' } })
  t.match(await world.next(0), { kind: 'hold', hold: { group: 'r1' } })
  t.match(await world.next(1), { kind: 'claim' })
})
