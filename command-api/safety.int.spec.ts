import t from 'tap'
import { defaultRules } from '../infra/safety/default-rules.ts'
import { rulesDigest } from '../infra/safety/rules.ts'
import { commandApi } from '../test/support/command-api.ts'
import { commanding, refused } from '../test/support/commanding.ts'
import { vaultBench } from '../test/support/vault.ts'
import { createVaultClient } from './vault-client.ts'

const bench = await vaultBench(t)
const { store } = bench
await bench.startVault()
const api = await commandApi(t, { store, vault: createVaultClient(bench.bus), log: bench.log })

const { send } = api
const { create } = commanding(api)
const command = (id: string, text: string, more: object = {}) => ({
  ...{ id, uses: 'ssh.command', with: { command: text } },
  ...more,
})
const credentialId = await create('create-credential', {
  ...{ name: 'deploy', username: 'deploy' },
  secret: { kind: 'password', password: 'correct horse battery staple' },
})
const targetIds: string[] = []
for (const [name, tags] of [
  ['lab-1', { environment: 'lab' }],
  ['lab-2', { environment: 'lab', env: 'prod' }],
  ['prod-1', { env: 'prod' }],
] as const) {
  targetIds.push(await create('create-target', { name, address: '192.0.2.1', tags, credentialId }))
}
const [lab1 = '', lab2 = '', prod1 = ''] = targetIds
const define = (steps: unknown[], more: object = {}) => create('define-job', { name: 'clean', steps, ...more })
const requested = async (runId: string) => {
  const [first] = (await store.read(`run-${runId}`)).events
  return first?.type === 'RunRequested' ? first.data : undefined
}
const digest = rulesDigest(defaultRules)

t.test('a command that is refused everywhere cannot be defined', async t => {
  const steps = [
    command('fine', 'uptime', { check: 'rm -rf /etc' }),
    command('wipe', "echo ok; 'rm' -rf /", { undo: { uses: 'ssh.command', with: { command: 'mkfs.ext4 /dev/sda' } } }),
    { id: 'script', uses: 'ssh.script', with: { script: 'rm -rf "$1"', arguments: ['/usr'] } },
    { id: 'python', uses: 'ssh.script', with: { script: 'rm -rf /', interpreter: '/usr/bin/python3' } },
    {
      ...{ id: 'shell', uses: 'ssh.script' },
      with: { script: 'Clear-Disk -Number 0 -RemoveData', interpreter: '/usr/bin/pwsh' },
    },
    { id: 'wait', uses: 'wait.until', with: { probe: { kind: 'command', command: 'rm -rf /boot' } } },
    command('fed', 'sh', { with: { command: 'sh', stdin: 'rm -rf /home' } }),
  ]
  const onFailure = [command('last', 'rm -rf --no-preserve-root /')]
  const { errors, detail } = await refused(
    t,
    send('define-job', { name: 'x', steps, onFailure }),
    422,
    'command-denied',
  )
  t.same(errors.map(({ path }: { path: string }) => path).sort(), [
    ...['onFailure.0.with.command', 'steps.0.check', 'steps.1.undo.with.command', 'steps.1.with.command'],
    ...['steps.2.with.script', 'steps.4.with.script', 'steps.5.with.probe.command', 'steps.6.with.command'],
  ])
  t.match(errors[0], { message: /^delete-system-root: It deletes/ })
  t.notMatch(detail, /mkfs|\/dev\/sda/, 'nothing of the command is told')
  const jobId = await define([command('fine', 'uptime')])
  const next = { jobId, steps: [command('wipe', 'rm -rf ${{ run.id }}/../../ /')] }
  const { correlationId } = await refused(t, send('publish-job-version', next), 422, 'command-denied')
  t.ok(correlationId)
})

t.test('a refused definition is in the log, without what it says', async t => {
  const answer = await send(
    ...(['define-job', { name: 'x', steps: [command('wipe', 'rm -rf /')] }, { 'idempotency-key': 'wipe' }] as const),
  )
  t.equal(answer.statusCode, 422)
  const events: unknown[] = []
  for await (const batch of store.follow({
    categories: ['command'],
    after: undefined,
    signal: AbortSignal.timeout(20_000),
  })) {
    events.push(...batch.events.filter(event => event.type === 'CommandRejected'))
    if (batch.caughtUp) break
  }
  t.match(events.at(-1), { data: { command: 'define-job', code: 'command-denied', detail: /delete-system-root/ } })
  t.notMatch(
    JSON.stringify(events, (_key, value) => (typeof value === 'bigint' ? `${value}` : value)),
    /rm -rf/,
  )
})

t.test('what has to be confirmed is confirmed by whoever triggers it, and recorded', async t => {
  const jobId = await define(
    [command('drop', 'dropdb ${{ params.db }}; reboot'), command('tell', 'echo ${{ target.name }}')],
    { parameters: { db: { type: 'string', default: 'shop' } } },
  )
  const labs = { jobId, selection: { targetIds: [lab1, lab2] } }
  const { errors } = await refused(t, send('trigger-run', labs), 409, 'confirmation-needed')
  t.match(errors, [
    { path: 'steps.drop', message: /^power in lab: / },
    { path: 'steps.drop', message: /^drop-database in lab: / },
  ])
  t.equal(errors.length, 2, 'each rule once')
  const runId = await create('trigger-run', { ...labs, confirm: true })
  t.match(await requested(runId), { confirmed: { rules: ['drop-database', 'power'], rulesDigest: digest } })
  const production = { jobId, selection: { targetIds: [lab1, prod1] }, confirm: true }
  const denied = await refused(t, send('trigger-run', production), 422, 'command-denied')
  t.match(denied.errors, [{ path: 'steps.drop', message: /^drop-database in production: / }])
  t.equal(denied.errors.length, 1)
  const quiet = await create('trigger-run', { jobId: await define([command('fine', 'uptime')]), ...quietly(lab1) })
  t.notOk((await requested(quiet))?.confirmed, 'the word alone confirms nothing')
})
const quietly = (targetId: string) => ({ selection: { targetIds: [targetId] }, confirm: true })

t.test('values are judged as what they are, and only steps that are done', async t => {
  const jobId = await define(
    [
      command('clean', 'rm -rf "${{ params.folder }}/${{ params.below }}"', { undo: { uses: 'noop', with: {} } }),
      command('lab', 'reboot', { on: { labels: 'environment=lab' } }),
      command('never', 'reboot', { if: 'params.folder == "/"' }),
      command('look', 'pwd', { outputs: { folder: { as: 'text' } } }),
      command('later', 'rm -rf "${{ steps.look.outputs.folder }}"'),
    ],
    {
      parameters: {
        folder: { type: 'string', required: true },
        below: { type: 'string', default: 'cache' },
      },
    },
  )
  const trigger = (
    folder: string,
    targetId: string,
    { below = 'cache', ...more }: { below?: string; confirm?: true } = {},
  ) => send('trigger-run', { jobId, parameters: { folder, below }, selection: { targetIds: [targetId] }, ...more })
  const stepsOf = ({ errors }: { errors: Array<{ path: string }> }) => [...new Set(errors.map(({ path }) => path))]
  const needed = async (folder: string, targetId: string) =>
    stepsOf(await refused(t, trigger(folder, targetId), 409, 'confirmation-needed'))
  t.same(await needed('/opt/app', lab1), ['steps.lab', 'steps.later'])
  t.same(await needed('/opt/app', prod1), ['steps.later'], 'what is not known yet is not refused yet')
  t.same(await needed('/', lab1), ['steps.clean', 'steps.lab', 'steps.never', 'steps.later'])
  const root = await refused(
    t,
    trigger('/opt/app/..', prod1, { confirm: true, below: '../etc' }),
    422,
    'command-denied',
  )
  t.same(stepsOf(root), ['steps.clean'])
})

t.test('a rerun is asked about again, from where it begins', async t => {
  const jobId = await define([command('drop', 'dropdb shop'), command('boot', 'reboot')])
  const of = await create('trigger-run', { jobId, selection: { targetIds: [lab1] }, confirm: true })
  const { errors } = await refused(t, send('rerun', { of }), 409, 'confirmation-needed')
  t.equal(errors.length, 2)
  const later = await refused(t, send('rerun', { of, fromStep: 'boot' }), 409, 'confirmation-needed')
  t.match(later.errors, [{ path: 'steps.boot', message: /^power/ }])
  const runId = await create('rerun', { of, fromStep: 'boot', confirm: true })
  t.match(await requested(runId), { rerunOf: of, confirmed: { rules: ['power'], rulesDigest: digest } })
})

t.test('what a job that is run by a step does is asked about as well', async t => {
  const below = await define([command('drop', 'dropdb "${{ params.db }}"')], {
    parameters: { db: { type: 'string', required: true } },
  })
  const run = { id: 'clean', uses: 'job.run', with: { jobId: below, parameters: { db: 'shop' }, sameTargets: true } }
  const jobId = await define([run, command('tell', 'uptime')])
  const { errors } = await refused(
    ...([t, send('trigger-run', { jobId, selection: { targetIds: [lab1] } }), 409, 'confirmation-needed'] as const),
  )
  t.match(errors, [{ path: 'steps.clean/drop', message: /^drop-database in lab/ }])
  const runId = await create('trigger-run', { jobId, selection: { targetIds: [lab1] }, confirm: true })
  t.match(await requested(runId), { confirmed: { rules: ['drop-database'] } })
  await refused(
    t,
    send('trigger-run', { jobId, selection: { targetIds: [prod1] }, confirm: true }),
    422,
    'command-denied',
  )
})

t.test('a plan says what would be asked, and for whom', async t => {
  const jobId = await define(
    [
      command('drop', 'dropdb shop', { if: 'target.tags["env"] == "prod"', on: { labels: 'env' } }),
      command('feed', 'cat', { with: { command: 'cat', stdin: '${{ params.word }}' } }),
      command('after', 'uptime', { if: 'steps.feed.exitCode == 0' }),
      { id: 'pause', uses: 'wait.time', with: { seconds: 5 } },
      { id: 'go', uses: 'approval', with: { prompt: 'go?', quorum: 1 } },
    ],
    {
      parameters: { word: { type: 'secret', required: true } },
      onFailure: [command('tell', 'echo ${{ failure.detail }}')],
    },
  )
  const before = await store.head()
  const answer = await send('trigger-run', {
    ...{ jobId, mode: 'plan', parameters: { word: credentialId }, selection: { targetIds: [lab1, lab2] } },
  })
  t.same(await store.head(), before)
  const plan = answer.json()
  t.match(plan, {
    allowed: false,
    confirmationNeeded: [{ stepId: 'drop', rule: 'drop-database' }],
    denied: [],
    more: 0,
  })
  const [one, two] = plan.targetRuns
  t.match(one.steps, [
    { stepId: 'drop', does: 'skipped', why: 'not-selected' },
    { stepId: 'feed', does: 'runs', text: 'cat', stdin: '[secret]', verdict: { decision: 'allow', rule: null } },
    { stepId: 'after', does: 'may-run', why: 'depends on feed', text: 'uptime' },
    { stepId: 'pause', does: 'waits', text: 'wait 5 s' },
    { stepId: 'tell', phase: 'handler', does: 'known-later', why: 'depends on failure' },
  ])
  t.match(two.steps[0], { stepId: 'drop', does: 'runs', verdict: { decision: 'confirm', rule: 'drop-database' } })
  t.notMatch(answer.body, /correct horse/)
})
