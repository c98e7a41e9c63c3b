import fc from 'fast-check'
import t from 'tap'
import type { JobVersion } from '../../../schemas/job.ts'
import type { RenderedStep } from '../../../schemas/steps/index.ts'
import { command, versionOf } from '../../../test/support/workflow.ts'
import { nextSegment, planOf, renderedText, rulesOf, type SegmentInput, type StepResult } from './index.ts'

const id = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
const run = { id, jobId: id, jobName: 'deploy', jobVersion: 1, targets: 3, initiator: 'ann' }
const target = { id, name: 'web-1', address: '10.0.0.1', port: 22, tags: { env: 'prod' } }
const now = '2030-01-01T00:00:00.000Z'
type Rest = Partial<SegmentInput> & { phase?: 'main' | 'undo' | 'handler' }

function inputOf(version: JobVersion, { phase = 'main', ...rest }: Rest = {}): SegmentInput {
  const parameters = rest.parameters ?? {}
  const rules = rulesOf(version, parameters).filter(rule => (rule.phase ?? 'main') === phase)
  return { version, parameters, run, target, rules, ended: {}, mayBegin: () => true, now, ...rest }
}
const ask = (version: JobVersion, rest?: Rest) => nextSegment(inputOf(version, rest))
const idsOf = (steps: ReadonlyArray<{ id: string }>) => steps.map(step => step.id)
const succeeded = (outputs: StepResult['outputs'] = {}): StepResult => ({
  attempt: 1,
  outcome: 'succeeded',
  exitCode: 0,
  outputs,
})
const only = (steps: readonly RenderedStep[]): RenderedStep => {
  const [step] = steps
  if (!step || steps.length > 1) throw new Error(`${steps.length} steps are due`)
  return step
}
const outputs = { v: { as: 'text' } }

t.test('a segment ends before a step that asks for what is still to be done in it', async t => {
  const version = versionOf({
    steps: [
      command('probe', 'uname', { outputs }),
      command('loop', 'echo ${{ item }} ${{ index }}', { forEach: ['x', 'y'], outputs }),
      command('other', 'true'),
      command('show', 'echo ${{ steps.probe.outputs.v }} "${{ steps.loop.outputs.v.join("+") }}"', {
        if: 'steps.probe.outcome == "succeeded"',
      }),
    ],
  })
  const first = ask(version)
  t.same(idsOf(first.due), ['probe', 'loop.0', 'loop.1', 'other'])
  t.same(first.due[2]?.variables, { opsc_1: 'y', opsc_2: '1' })
  const ended = {
    probe: succeeded({ v: '6' }),
    'loop.0': succeeded({ v: 'a' }),
    'loop.1': succeeded({ v: 'b' }),
    other: succeeded(),
  }
  t.equal(renderedText(only(ask(version, { ended }).due)), `opsc_1='6'\nopsc_2='a+b'\necho "\${opsc_1}" "\${opsc_2}"`)
  t.same(ask(version, { ended: { ...ended, show: succeeded() } }), { skip: [], due: [] }, 'nothing remains')
})

t.test('what is not selected or not wanted is left out, and what follows knows', async t => {
  const version = versionOf({
    steps: [
      command('web', 'x', { on: { labels: 'role=web' } }),
      command('prod', 'x', { on: { labels: 'env=prod' } }),
      command('never', 'x', { if: 'target.tags.env == "test" || run.targets > 5' }),
      command('after', 'x', { if: 'steps.never.outcome == "skipped" && steps.web.outcome == "skipped"' }),
      command('loop', 'x', { forEach: [1, 2, 3], if: 'item != 2' }),
    ],
  })
  t.match(ask(version), {
    skip: [
      { stepId: 'web', why: 'not-selected' },
      { stepId: 'never', why: 'condition' },
      { stepId: 'loop.1', why: 'condition' },
    ],
    due: [{ id: 'prod' }, { id: 'after' }, { id: 'loop.0' }, { id: 'loop.2' }],
  })
})

t.test('barriers, gates and waits end a segment', async t => {
  const version = versionOf({
    steps: [
      command('a'),
      { id: 'pause', uses: 'wait.time', with: { seconds: 90 } },
      { id: 'until', uses: 'wait.time', with: { until: '2031-01-01T00:00:00Z' }, if: 'false || true' },
      command('b'),
      command('c'),
    ],
  })
  t.match(ask(version), { due: [{ id: 'a' }], wait: undefined })
  t.same(ask(version, { ended: { a: succeeded() } }), {
    skip: [],
    due: [],
    wait: { stepId: 'pause', until: '2030-01-01T00:01:30.000Z' },
  })
  const paused = { a: succeeded(), pause: succeeded() }
  t.match(ask(version, { ended: paused }).wait, { stepId: 'until', until: '2031-01-01T00:00:00Z' })
  const ended = { ...paused, until: succeeded() }
  t.same(idsOf(ask(version, { ended, mayBegin: step => step !== 'c' }).due), ['b'])
  t.same(ask(version, { ended, mayBegin: step => step !== 'b' }), { skip: [], due: [] })
})

t.test('results of all targets are asked for when they are needed', async t => {
  const version = versionOf({
    steps: [
      command('probe', 'x', { outputs: { v: { as: 'json' } }, forEach: [1, 2] }),
      command('first', 'echo ${{ string(size(all.probe.outputs.v)) }} ${{ json(all["probe"].outputs.v) }}'),
    ],
  })
  const ended = { 'probe.0': succeeded(), 'probe.1': succeeded() }
  t.same(ask(version, { ended }), { skip: [], due: [], needsAll: true })
  t.same(idsOf(ask(version).due), ['probe.0', 'probe.1'], 'not while there is something to do')
  const all = (step: string) => ({ v: step === 'probe.0' ? [1, 'a'] : [2] })
  t.same(only(ask(version, { ended, all }).due).variables, { opsc_1: '3', opsc_2: '[1,"a",2]' })
  t.match(ask(version, { ended, all: () => ({}) }), {
    impossible: { stepId: 'first', class: 'invalid-template', detail: /there is no v/ },
  })
})

t.test('what cannot be written down is impossible, once it comes first', async t => {
  const bad = (step: object) =>
    versionOf({ parameters: { p: { type: 'string' } }, steps: [command('ok'), { id: 'bad', ...step }] })
  const ended = { ok: succeeded() }
  const table: Array<[object, RegExp]> = [
    [{ uses: 'file.get', with: { path: '${{ params.p }}' } }, /^with.path: an absolute path/],
    [{ uses: 'http.request', with: { url: '${{ params.p }}' } }, /^with.url: an http or https URL/],
    [{ uses: 'file.put', with: { path: '/x', artifact: '${{ params.p }}' } }, /^with.artifact/],
    [command('bad', 'echo ${{ params.missing }}'), /there is no missing/],
    [command('bad', 'x', { if: 'params.p' }), /if is string where true or false is needed/],
    [command('bad', 'x', { if: 'params.p == "relative" && params.q' }), /there is no q/],
    [command('bad', 'echo ${{ steps.ok.outputs.v }}'), /there is no v/],
    [command('bad', 'x', { check: 'test ${{ params.q }}' }), /there is no q/],
  ]
  for (const [step, detail] of table) {
    const version = bad(step)
    const parameters = { p: 'relative' }
    t.same(idsOf(ask(version, { parameters }).due), ['ok'])
    t.match(ask(version, { parameters, ended }).impossible, { stepId: 'bad', class: 'invalid-template', detail })
  }
  const unknown = {
    ...inputOf(bad(command('bad'))),
    rules: [{ id: 'gone', idempotent: false, continueOnError: false }],
  }
  t.match(nextSegment(unknown).impossible, { detail: 'the job version has no step gone' })
})

t.test('what undoes steps and handles failures is rendered with what is known by then', async t => {
  const version = versionOf({
    steps: [
      command('install', 'x', {
        ...{ forEach: ['a', 'b'], if: 'target.name == "nobody"', on: { labels: 'env=test' }, outputs, check: 'true' },
        undo: { uses: 'ssh.command', with: { command: 'undo ${{ item }} ${{ steps.install.outputs.v.join() }}' } },
      }),
      command('use'),
    ],
    onFailure: [
      command('tell', 'tell ${{ failure.stepId }} ${{ failure.class }} ${{ steps.use.outcome }}', { outputs }),
      command('quiet', 'x', { if: 'failure.class == "timed-out"' }),
    ],
  })
  const ended = {
    'install.0': succeeded({ v: '1' }),
    'install.1': succeeded({ v: '2' }),
    use: { attempt: 1, outcome: 'failed' as const },
  }
  const undo = ask(version, { phase: 'undo', ended })
  t.match(undo.due, [
    { id: 'install.0.undo', continueOnError: true, variables: { opsc_1: 'a', opsc_2: '12' } },
    { id: 'install.1.undo', variables: { opsc_1: 'b' }, outputs: undefined, check: undefined },
  ])
  const failure = { class: 'exit-nonzero' as const, detail: 'exit code 1', stepId: 'use' }
  const handlers = ask(version, { phase: 'handler', ended, failure })
  t.match(handlers, {
    skip: [{ stepId: 'quiet', why: 'condition' }],
    due: [{ id: 'tell', outputs, variables: { opsc_1: 'use', opsc_3: 'failed' } }],
  })
})

t.test('every kind of step is rendered, and can be read by a person', async t => {
  const parameters = { p: "it's", token: id, n: 3 }
  const version = versionOf({
    parameters: { p: { type: 'string' }, n: { type: 'integer' }, token: { type: 'secret' } },
    steps: [
      {
        ...command('secret'),
        with: { command: 'cat > "${{ params.p }}"', stdin: '${{ params.token }}', become: {} },
        silenceSeconds: 5,
      },
      {
        ...command('stdin', 'cat'),
        with: { command: 'cat', stdin: 'n=${{ params.n }}\n' },
        check: 'test -e ${{ params.p }}',
      },
      { id: 'script', uses: 'ssh.script', with: { script: 'echo "$1"', arguments: ['${{ params.p }}', 'x'] } },
      { id: 'put', uses: 'file.put', with: { path: '/etc/${{ params.p }}', content: 'n=${{ params.n }}' } },
      { id: 'store', uses: 'file.put', with: { path: '/x', artifact: 'a'.repeat(64), mode: '0600' } },
      { id: 'get', uses: 'file.get', with: { path: '/var/${{ target.name }}' } },
      {
        id: 'http',
        uses: 'http.request',
        with: {
          method: 'POST',
          url: 'https://x/${{ params.n }}',
          headers: { 'x-n': '${{ params.n }}' },
          body: '{"n": ${{ params.n }}}',
          clientCertificate: '${{ params.token }}',
        },
      },
      { id: 'tcp', uses: 'wait.until', with: { probe: { kind: 'tcp', port: 80 } } },
      {
        id: 'ask',
        uses: 'wait.until',
        with: { probe: { kind: 'command', command: 'test ${{ params.n }} = 3' }, intervalSeconds: 1 },
      },
      {
        id: 'web',
        uses: 'wait.until',
        with: { probe: { kind: 'http', url: 'https://x/${{ params.n }}', status: 204 } },
      },
      { id: 'noop', uses: 'noop' },
    ],
  })
  const { due } = ask(version, { parameters })
  t.same(due.map(renderedText), [
    `opsc_1='it'\\''s'\ncat > "\${opsc_1}"`,
    'cat',
    `/bin/sh - 'it'\\''s' 'x'\necho "$1"`,
    `write /etc/it's (mode 0644): n=3`,
    `write /x (mode 0600): artifact ${'a'.repeat(64)}`,
    'fetch /var/web-1',
    'POST https://x/3\nx-n: 3\n\n{"n": 3}',
    'every 5 s until: port 80 accepts connections',
    `opsc_1='3'\nevery 1 s until: test "\${opsc_1}" = 3`,
    'every 5 s until: GET https://x/3 answers 204',
    'nothing',
  ])
  t.match(due[0], {
    stdinCredentialId: id,
    silenceSeconds: 5,
    action: { with: { stdin: undefined, become: { user: 'root' } } },
  })
  const request = due.find(({ id }) => id === 'http')
  t.match(request, { clientCertificateId: id, action: { with: { clientCertificate: undefined } } })
  t.match(due[1], { action: { with: { stdin: 'n=3\n' } }, check: `opsc_1='it'\\''s'\ntest -e "\${opsc_1}"` })
  const waiting = (action: RenderedStep['action']) =>
    renderedText({ id: 'w', action, timeoutSeconds: 1, continueOnError: false })
  t.equal(waiting({ uses: 'wait.time', with: { seconds: 3 } }), 'wait 3 s')
  t.equal(waiting({ uses: 'wait.time', with: { until: now } }), `wait until ${now}`)
  const withoutToken = { p: 'x', n: 1 }
  t.match(ask(version, { parameters: withoutToken }).impossible, { stepId: 'secret', detail: 'there is no token' })
})

t.test('of a loop others see the worst outcome, the first bad exit code, and what there is of outputs', async t => {
  const version = versionOf({
    steps: [
      command('loop', 'x', { forEach: [1, 2, 3], outputs, continueOnError: true }),
      command('see', 'echo ${{ steps.loop.outcome }} ${{ steps.loop.exitCode }} ${{ json(steps.loop.outputs) }}'),
    ],
  })
  const seen = (...rounds: StepResult[]) => {
    const ended = Object.fromEntries(rounds.map((result, i) => [`loop.${i}`, result]))
    const { due, impossible } = ask(version, { ended })
    return impossible ? impossible.detail : Object.values(only(due).variables ?? {})
  }
  const failed: StepResult = { attempt: 2, outcome: 'failed', exitCode: 4 }
  const skipped: StepResult = { attempt: 0, outcome: 'skipped' }
  t.same(seen(succeeded({ v: 'a' }), failed, succeeded({ v: 'b' })), ['failed', '4', '{"v":["a","b"]}'])
  t.same(seen(skipped, succeeded({ v: 'a' }), skipped), ['succeeded', '0', '{"v":["a"]}'])
  t.match(seen(skipped, skipped, skipped), /there is no exitCode/)
})

/** Chains in which any step may ask for the results of any before it, be selected or wanted or not, or wait. */
const chains = fc.array(
  fc.record({
    asks: fc.option(fc.nat(9)),
    wanted: fc.boolean(),
    kind: fc.constantFrom('command', 'command', 'loop', 'wait', 'unselected'),
  }),
  { minLength: 1, maxLength: 8 },
)
t.test('asked again and again, with all that is due done, it comes to the end of any workflow', async t => {
  fc.assert(
    fc.property(chains, chain => {
      const steps = chain.map(({ asks, wanted, kind }, i) => {
        const condition = asks !== null && i > 0 ? `steps.s${asks % i}.outcome != ""` : `${wanted}`
        const rest = {
          if: condition,
          ...(kind === 'loop' && { forEach: [1, 2] }),
          ...(kind === 'unselected' && { on: { labels: 'env=test' } }),
        }
        return kind === 'wait'
          ? { id: `s${i}`, uses: 'wait.time', with: { seconds: 1 }, if: condition }
          : command(`s${i}`, 'x', rest)
      })
      const version = versionOf({ steps })
      const rules = rulesOf(version, {})
      const ended: Record<string, StepResult> = {}
      for (let round = 0; Object.keys(ended).length < rules.length; round += 1) {
        const { skip, due, wait, impossible } = ask(version, { ended })
        t.equal(impossible, undefined)
        t.ok(skip.length + due.length > 0 || wait !== undefined, 'something happens')
        t.ok(round <= rules.length, 'no more rounds than steps')
        for (const { stepId } of skip) ended[stepId] = { attempt: 0, outcome: 'skipped' }
        for (const step of due) ended[step.id] = succeeded()
        if (wait) ended[wait.stepId] = succeeded()
        const order = rules.map(rule => Object.hasOwn(ended, rule.id))
        t.notOk(
          order.some((isOver, i) => isOver && order.slice(0, i).includes(false)),
          'in order, nothing passed over',
        )
      }
      t.same(Object.keys(ended).sort(), idsOf(planOf(version, {})).sort())
    }),
    { numRuns: 60, seed: 4 },
  )
})
