import t from 'tap'
import type { JobVersion } from '../../../schemas/job.ts'
import { versionOf } from '../../../test/support/workflow.ts'
import { bindParameters, nextSegment, planOf, renderedText, rulesOf, type SegmentInput } from './index.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${String(n).padStart(12, '0')}`
const run = { id: id(2), jobId: id(1), jobName: 'deploy', jobVersion: 1, targets: 3, initiator: 'ann' }
const target = { id: id(3), name: 'web-1', address: '10.0.0.1', port: 22, tags: { env: 'prod' } }
const ask = (version: JobVersion, rest: Partial<SegmentInput> = {}) =>
  nextSegment({
    version,
    parameters: bindParameters(version.parameters, {}),
    run,
    target,
    rules: rulesOf(version, bindParameters(version.parameters, {})),
    ended: {},
    mayBegin: () => true,
    now: '2030-01-01T00:00:00.000Z',
    ...rest,
  })

t.test('a segment ends before a step that needs what is not known yet', async t => {
  const version = versionOf({
    parameters: { pkg: { type: 'string', default: "a b'c" } },
    steps: [
      {
        id: 'install',
        uses: 'ssh.command',
        with: { command: 'apt install ${{ params.pkg }}' },
        outputs: { v: { as: 'text' } },
        undo: { uses: 'ssh.command', with: { command: 'rm "${{ params.pkg }}"' } },
      },
      { id: 'loop', forEach: ['x', 'y'], uses: 'ssh.command', with: { command: 'echo ${{ item }} ${{ index }}' } },
      {
        id: 'show',
        if: 'steps.install.outputs.v != ""',
        uses: 'ssh.command',
        with: { command: 'echo ${{ steps["install"].outputs.v }}' },
      },
    ],
  })
  t.same(planOf(version, { pkg: 'a' }), [{ id: 'install' }, { id: 'loop.0' }, { id: 'loop.1' }, { id: 'show' }])
  const first = ask(version)
  t.same(
    first.due.map(step => step.id),
    ['install', 'loop.0', 'loop.1'],
  )
  t.equal(first.due[0] && renderedText(first.due[0]), `opsc_1='a b'\\''c'\napt install "\${opsc_1}"`)
  const ended = Object.fromEntries(
    ['install', 'loop.0', 'loop.1'].map(id => [
      id,
      { attempt: 1, outcome: 'succeeded' as const, exitCode: 0, outputs: { v: '1' } },
    ]),
  )
  t.same(
    ask(version, { ended, rules: rulesOf(version, { pkg: 'a' }).filter(rule => !rule.phase) }).due.map(
      step => step.variables,
    ),
    [{ opsc_1: '1' }],
  )
  const undo = rulesOf(version, { pkg: 'a' }).filter(rule => rule.phase === 'undo')
  t.equal(ask(version, { rules: undo, ended }).due[0]?.action.uses, 'ssh.command')
})
