import fc from 'fast-check'
import t from 'tap'
import { command, versionOf } from '../../../test/support/workflow.ts'
import { gateOf, planOf, rulesOf } from './index.ts'
import { cycleIn } from './order.ts'

const jobId = '0192d3c4-5e6f-7a8b-9c0d-000000000002'
const run = { id: jobId, jobId, jobName: 'deploy', jobVersion: 1, targets: 3, initiator: 'ann' }
const idsOf = (steps: ReadonlyArray<{ id: string }>) => steps.map(({ id }) => id)

t.test('needs put steps in order, and the author does where they leave it open', async t => {
  const plan = (...steps: unknown[]) => idsOf(planOf(versionOf({ steps }), {}))
  t.same(plan(command('a'), command('b'), command('c')), ['a', 'b', 'c'])
  t.same(
    plan(command('a', 'x', { needs: ['c'] }), command('b', 'x', { needs: [] }), command('c', 'x', { needs: [] })),
    ['b', 'c', 'a'],
  )
  t.same(plan(command('a'), command('b', 'x', { needs: ['d'] }), command('c', 'x', { needs: ['a'] }), command('d')), [
    'a',
    'c',
    'd',
    'b',
  ])
})

/** Needs that point backwards in a shuffled list: no circles. */
const graphs = fc.integer({ min: 1, max: 12 }).chain(size =>
  fc.tuple(
    fc.array(fc.option(fc.array(fc.nat(size - 1), { maxLength: 3 })), { minLength: size, maxLength: size }),
    fc.shuffledSubarray(
      Array.from({ length: size }, (_, i) => i),
      { minLength: size, maxLength: size },
    ),
  ),
)
const stepsOf = ([needs, order]: [Array<number[] | null>, number[]]) =>
  needs.map((some, i) => {
    const backwards = (some ?? []).filter(n => order.indexOf(n) < order.indexOf(i)).map(n => `s${n}`)
    return command(`s${i}`, 'x', { needs: [...new Set(backwards)] })
  })

t.test('a plan is a topological order, the first one in the order of the author', async t => {
  fc.assert(
    fc.property(graphs, graph => {
      const steps = stepsOf(graph)
      const plan = idsOf(planOf(versionOf({ steps }), {}))
      t.same([...plan].sort(), idsOf(steps).sort(), 'every step once')
      const needs = new Map(steps.map(step => [step.id, (step as { needs?: string[] }).needs ?? []]))
      for (const [at, id] of plan.entries()) {
        for (const need of needs.get(id) ?? []) t.ok(plan.indexOf(need) < at, `${need} before ${id}`)
        const ready = steps.find(
          step => !plan.slice(0, at).includes(step.id) && (needs.get(step.id) ?? []).every(n => plan.indexOf(n) < at),
        )
        t.equal(ready?.id, id, 'of those that can begin the one listed first')
      }
      t.equal(cycleIn(steps), undefined)
    }),
    { numRuns: 100, seed: 2 },
  )
})

const version = versionOf({
  parameters: {
    hosts: { type: 'list', of: 'string', default: [] },
    n: { type: 'integer', default: 1 },
    ask: { type: 'boolean', default: true },
  },
  steps: [
    command('install', 'x', {
      forEach: 'params.hosts',
      ...{ idempotent: true, retry: { attempts: 3 }, check: 'true', outputs: { v: { as: 'text' } } },
      undo: { uses: 'ssh.command', with: { command: 'undo' } },
    }),
    { id: 'ask', uses: 'approval', if: 'params.ask', with: { prompt: 'On ${{ run.targets }} targets?', quorum: 2 } },
    command('compare', 'echo ${{ json(all.install.outputs.v) }}', { continueOnError: true }),
    {
      id: 'sub',
      uses: 'job.run',
      with: {
        jobId,
        version: 4,
        parameters: { hosts: '${{ params.hosts }}', n: '${{ params.n }}', text: 'n=${{ params.n }}', fixed: 7 },
        sameTargets: true,
      },
    },
    { id: 'each', uses: 'noop', forEach: [1, 'x'] },
  ],
  onFailure: [command('tell', 'x', { forEach: ['a', 'b'] })],
})
const parameters = { hosts: ['x', 'y'], n: 2, ask: true }

t.test('loops are unrolled; barriers stand before what looks at all targets, gates on their own', async t => {
  t.same(planOf(version, parameters), [
    { id: 'install.0' },
    { id: 'install.1' },
    { id: 'ask', gate: true },
    { id: 'compare', barrier: true },
    { id: 'sub', gate: true },
    { id: 'each.0' },
    { id: 'each.1' },
  ])
  const linear = { ...version, strategy: { pace: 'linear' as const } }
  t.same(
    planOf(linear, parameters).map(({ barrier = false }) => barrier),
    [false, true, true, true, true, true, true],
  )
  t.same(idsOf(planOf(version, { ...parameters, hosts: [] })), ['ask', 'compare', 'sub', 'each.0', 'each.1'])
})

t.test('a target run is told of steps, what undoes them and handlers, but of no gates', async t => {
  const tried = { idempotent: true, retry: { attempts: 3 }, checkable: true, continueOnError: false }
  t.same(rulesOf(version, parameters), [
    { id: 'install.0', ...tried, undo: 'install.0.undo' },
    { id: 'install.1', ...tried, undo: 'install.1.undo' },
    { id: 'compare', idempotent: false, continueOnError: true },
    { id: 'each.0', idempotent: false, continueOnError: false },
    { id: 'each.1', idempotent: false, continueOnError: false },
    { id: 'install.0.undo', idempotent: false, continueOnError: true, phase: 'undo' },
    { id: 'install.1.undo', idempotent: false, continueOnError: true, phase: 'undo' },
    { id: 'tell.0', idempotent: false, continueOnError: true, phase: 'handler' },
    { id: 'tell.1', idempotent: false, continueOnError: true, phase: 'handler' },
  ])
})

t.test('loops that cannot be unrolled keep a run from being triggered', async t => {
  const loop =
    (forEach: string, hosts: unknown[] = []) =>
    () =>
      planOf(
        versionOf({ parameters: { hosts: { type: 'list', of: 'string' } }, steps: [command('a', 'x', { forEach })] }),
        { hosts: hosts as string[] },
      )
  const many = Array.from({ length: 501 }, (_, i) => `h${i}`)
  t.throws(loop('params.hosts', many), {
    code: 'invalid-parameters',
    detail: 'the loop of a has 501 rounds; 500 are the most',
  })
  t.throws(loop('params.other'), {
    code: 'invalid-parameters',
    detail: 'the loop of a: there is no other, in params.other',
  })
  t.throws(loop('1'), { code: 'invalid-parameters', detail: 'the loop of a: not a list' })
  t.throws(loop('[params.hosts]'), {
    code: 'invalid-parameters',
    detail: 'the loop of a goes over something else than plain values',
  })
  const two = versionOf({
    steps: [command('a', 'x', { forEach: [1, 2] })],
    parameters: { hosts: { type: 'list', of: 'string' } },
  })
  const both = {
    ...two,
    steps: [...two.steps, ...versionOf({ steps: [command('b', 'x', { forEach: 'params.hosts' })] }).steps],
  }
  t.throws(() => planOf(both, { hosts: many.slice(2) }), {
    code: 'invalid-parameters',
    detail: 'the run would have 501 steps; 500 are the most',
  })
})

t.test('gates see parameters and the run', async t => {
  t.same(gateOf(version, parameters, run, 'ask'), {
    kind: 'approval',
    prompt: 'On 3 targets?',
    quorum: 2,
    expiresSeconds: 86_400,
  })
  t.same(gateOf(version, { ...parameters, ask: false }, run, 'ask'), { kind: 'skip' })
  t.same(gateOf(version, parameters, run, 'sub'), {
    ...{ kind: 'job-run', jobId, version: 4, sameTargets: true },
    parameters: { hosts: ['x', 'y'], n: 2, text: 'n=2', fixed: 7 },
  })
  t.throws(() => gateOf(version, parameters, run, 'compare'), {
    name: 'TemplateError',
    message: 'compare is not a gate',
  })
})
