import t from 'tap'
import { command, versionOf } from '../../../test/support/workflow.ts'
import { previews } from './preview.ts'

const run = { id: 'r', jobId: 'j', jobName: 'release', jobVersion: 1, targets: 3, initiator: 'ann' }
const web = { id: 't', name: 'web-1', address: '192.0.2.1', port: 22, tags: { role: 'web' } }
const look = (given: Parameters<typeof versionOf>[0], parameters = {}, only?: Set<string>) =>
  previews({ version: versionOf(given), parameters, run, target: web }, only)

t.test('what can be rendered is, loops round by round, then what undoes it and what comes after a failure', async t => {
  const steps = [
    command('go', 'echo ${{ item }} ${{ target.name }}', { forEach: ['a', 'b'] }),
    command('put', 'touch /tmp/x', { undo: { uses: 'ssh.command', with: { command: 'rm ${{ target.name }}' } } }),
  ]
  const found = look({ steps, onFailure: [command('mail', 'mail ${{ run.jobName }}')] })
  t.match(found, [
    { kind: 'rendered', unit: { id: 'go.0' }, step: { variables: { opsc_1: 'a', opsc_2: 'web-1' } } },
    { kind: 'rendered', unit: { id: 'go.1' }, step: { variables: { opsc_1: 'b' } } },
    { kind: 'rendered', unit: { id: 'put' }, ifWaitsFor: [] },
    { kind: 'rendered', unit: { id: 'put.undo', phase: 'undo' }, step: { variables: { opsc_1: 'web-1' } } },
    { kind: 'rendered', unit: { id: 'mail', phase: 'handler' }, step: { variables: { opsc_1: 'release' } } },
  ])
  t.equal(found.length, 5)
  t.match(look({ steps }, {}, new Set(['put'])), { length: 1, 0: { unit: { id: 'put' } } }, 'only what is asked for')
})

t.test('what is left out, and whether it may be done on another target', async t => {
  const undo = { uses: 'noop', with: {} }
  const found = look(
    {
      steps: [
        command('db', 'true', { on: { labels: 'role=db' }, undo }),
        command('rack', 'true', { if: "target.name == 'web-2'" }),
        command('never', 'true', { if: 'params.deep', undo }),
        command('yes', 'true', { if: '!params.deep' }),
      ],
      parameters: { deep: { type: 'boolean', default: false } },
    },
    { deep: false },
  )
  t.match(found, [
    { unit: { id: 'db' }, kind: 'skipped', why: 'not-selected', elsewhere: true },
    { unit: { id: 'rack' }, kind: 'skipped', why: 'condition', elsewhere: true },
    { unit: { id: 'never' }, kind: 'skipped', why: 'condition', elsewhere: false },
    { unit: { id: 'yes' }, kind: 'rendered' },
    { unit: { id: 'db.undo' }, kind: 'skipped' },
    { unit: { id: 'never.undo' }, kind: 'skipped' },
  ])
})

t.test('what waits for results says for which', async t => {
  const text = { outputs: { out: { as: 'text' } } }
  const found = look({
    steps: [
      command('one', 'true', text),
      command('two', 'true', text),
      command('uses', 'echo ${{ steps.one.outputs.out }} ${{ all.two.outputs.out.join(",") }}'),
      command('asks', 'reboot ${{ target.name }}', { if: 'steps.one.exitCode == 0' }),
      { id: 'go', uses: 'approval', with: { prompt: 'go?', quorum: 1 } },
    ],
    onFailure: [command('mail', 'mail ${{ failure.detail }}')],
  })
  t.match(found.slice(2), [
    { kind: 'unknown', waitsFor: ['one', 'two'] },
    { kind: 'rendered', ifWaitsFor: ['one'], step: { variables: { opsc_1: 'web-1' } } },
    { kind: 'gate' },
    { kind: 'unknown', waitsFor: ['failure'] },
  ])
})

t.test('what cannot be written down says why', async t => {
  const parameters = { name: { type: 'string' } } as const
  const [one] = look({ steps: [command('one', 'echo ${{ params.name }}')], parameters })
  t.match(one, { kind: 'impossible', class: 'invalid-template', detail: /name/ })
})
