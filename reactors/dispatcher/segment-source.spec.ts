import t from 'tap'
import { dispatching, type Given, NOW } from '../../test/support/dispatching.ts'
import { command, versionOf } from '../../test/support/workflow.ts'
import { nextOf } from './segment-source.ts'

const outputs = { v: { as: 'text' } }
const scope = (n: number) => ({ id: `target ${n}`, name: `web-${n}`, address: '10.0.0.1', port: 22, tags: {} })

function given(steps: unknown[], more: Partial<Given> = {}, definition: object = {}) {
  const version = versionOf({ steps, ...definition })
  const world = dispatching({ version, targets: [{}, {}, {}], ...more })
  const next = async (n = 0) => {
    const { remaining, segment } = await nextOf(world.commands, {
      ...{ run: world.run, n, version, target: scope(n), now: NOW },
    })
    const { skip, due, impossible } = segment
    const skipped = skip.map(({ stepId, why }) => `${stepId} ${why}`)
    return { remaining: remaining.map(({ id }) => id), skipped, due: due.map(({ id }) => id), texts: due, impossible }
  }
  return { ...world, next }
}

t.test('a target that has not begun has everything before it, one that has only what is left', async t => {
  const world = given([command('a'), command('b'), command('c')])
  t.match(await world.next(), { remaining: ['a', 'b', 'c'], due: ['a', 'b', 'c'] })
  t.equal(world.looked(), 0, 'there is no stream to read yet')
  world.succeed(0, 'a')
  t.match(await world.next(), { remaining: ['b', 'c'], due: ['b', 'c'] })
  t.match(await world.next(1), { remaining: ['a', 'b', 'c'] })
})

t.test('results of earlier steps stand in the text of later ones', async t => {
  const world = given([command('a', 'true', { outputs }), command('b', 'echo ${{ steps.a.outputs.v }}')])
  t.same((await world.next()).due, ['a'])
  world.succeed(0, 'a', { v: "it's" })
  const { texts } = await world.next()
  t.match(texts, [{ id: 'b', variables: { opsc_1: "it's" } }])
})

t.test('results of all targets are gathered once they are all there, and once only', async t => {
  const steps = [command('a', 'true', { outputs }), command('b', 'echo ${{ all["a"].outputs.v.join("+") }}')]
  const world = given(steps)
  for (const [n, v] of ['x', 'y'].entries()) world.succeed(n, 'a', { v })
  t.match(await world.next(), { due: [], impossible: undefined }, 'it waits at the barrier')
  world.fail(2, 'a')
  const before = world.looked()
  for (const n of [0, 1]) t.match((await world.next(n)).texts, [{ id: 'b', variables: { opsc_1: 'x+y' } }])
  t.equal(world.looked() - before, 2 + 3, 'its own twice, everybody’s once')
})

t.test('a rerun from a later step counts what comes before as done, on every target that begins', async t => {
  const approval = { id: 'ask', uses: 'approval', with: { prompt: 'Go?' } }
  const loop = command('each', 'echo ${{ item }}', { forEach: ['x', 'y'] })
  const steps = [command('a'), loop, approval, command('b'), command('c')]
  const skipped = ['a', 'each.0', 'each.1'].map(id => `${id} before-first-step`)
  const passed = { type: 'RunStepSkipped', data: { stepId: 'ask', why: 'before-first-step' } } as const
  const from = (fromStep: string) => {
    const world = given(steps, { request: { fromStep } })
    const runId = world.run.runId
    return { ...world, pass: () => world.tell({ ...passed, data: { ...passed.data, runId } }) }
  }
  const later = from('b')
  later.pass()
  t.match(await later.next(), { skipped, due: ['b', 'c'] })
  later.claim(1, 'b', 'c')
  for (const id of ['a', 'each.0', 'each.1'])
    later.tell({ type: 'StepSkipped', data: { ...later.place(1), stepId: id, epoch: 1, why: 'before-first-step' } })
  t.match(await later.next(1), { skipped: [], due: ['b', 'c'] }, 'said once')
  const gate = from('ask')
  t.match(await gate.next(), { skipped, due: [] }, 'from a gate on: it is asked')
  gate.pass()
  t.match(await gate.next(), { skipped, due: ['b', 'c'] })
  t.match(
    await from('each').next(),
    { skipped: ['a before-first-step'], due: ['each.0', 'each.1'] },
    'a loop as a whole',
  )
})

t.test('after a failure what undoes and handles it is due, and knows why', async t => {
  const undo = { uses: 'ssh.command', with: { command: 'undo' } }
  const onFailure = [command('tell', 'echo ${{ failure.stepId }} ${{ failure.class }}')]
  const world = given([command('a', 'true', { undo }), command('b')], { request: { fromStep: 'a' } }, { onFailure })
  world.succeed(0, 'a')
  world.fail(0, 'b', ['a.undo', 'tell'])
  const { remaining, due, texts, skipped } = await world.next()
  t.same([remaining, due, skipped], [['a.undo', 'tell'], ['a.undo', 'tell'], []])
  t.match(texts[1], { variables: { opsc_1: 'b', opsc_2: 'exit-nonzero' } })
})

t.test('what cannot be written down is told only when its turn has come', async t => {
  const parameters = { who: { type: 'string' } }
  const world = given([command('a'), command('b', 'echo ${{ params.who }}')], {}, { parameters })
  t.match(await world.next(), { due: ['a'], impossible: undefined })
  world.succeed(0, 'a')
  t.match(await world.next(), { due: [], impossible: { stepId: 'b', class: 'invalid-template' } })
})
