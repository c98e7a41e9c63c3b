import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { said } from '../test/support/cli.ts'
import { main } from './main.ts'
import { bar } from './progress-line.ts'

const runId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
const jobId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6e'
const targetId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6f'
const spec = (type: string, more = {}) => ({ type, ...more })
const parameters = {
  version: spec('string'),
  restarts: spec('integer'),
  share: spec('number'),
  hard: spec('boolean'),
  services: spec('list', { of: 'string' }),
  ports: spec('list', { of: 'integer' }),
  where: spec('target'),
  login: spec('secret'),
}
const answer = {
  commandId: runId,
  stream: `run-${runId}`,
  revision: '0',
  position: '7',
  events: [{ id: runId, type: 'RunRequested', revision: '0' }],
}
const counts = { succeeded: 1, failed: 0, cancelled: 0, needsAttention: 0 }

type Answers = Record<string, unknown>
type Sent = Array<{ name: string; body: Record<string, unknown> }>

/** An API that knows one job, one target and one run, and keeps what it was sent. */
async function api(t: Test, answers: Answers = {}, events = ''): Promise<{ url: string; sent: Sent }> {
  const sent: Sent = []
  const known: Answers = {
    [`/v1/jobs/${jobId}`]: { jobId, parameters },
    [`/v1/jobs/${jobId}/versions/2`]: { jobId, parameters: { version: spec('integer') } },
    '/v1/targets': { items: [{ targetId, name: 'web-1' }], next: null },
    '/v1/credentials': { items: [{ credentialId: targetId, name: 'deploy' }], next: null },
    [`/v1/runs/${runId}/target-runs`]: { items: [{ n: 4, targetId, targetName: 'web-1' }], next: null },
    [`/v1/runs/${runId}`]: { runId, jobName: 'release', status: 'succeeded', targets: 1, counts, plan: [] },
    '/v1/approvals': { items: [{ runId, stepId: 'go', digest: 'ab'.repeat(32) }], next: null },
    ...answers,
  }
  const server = createServer(async (request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    if (path.endsWith('/events')) return void response.end(`${events}event: end\ndata: {}\n\n`)
    const name = /^\/v1\/commands\/(.+)/.exec(path)?.[1]
    if (name !== undefined) {
      let text = ''
      for await (const chunk of request) text += chunk
      sent.push({ name, body: JSON.parse(text) })
    }
    const found = known[path] ?? (name === undefined ? undefined : answer)
    const { status = 200 } = (found ?? { status: 404 }) as { status?: number | string }
    response.statusCode = typeof status === 'number' ? status : 200
    response.end(JSON.stringify(found ?? { type: 'urn:opsconductor:problem:not-found', title: 'nothing', status: 404 }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent }
}

const folder = (t: Test) => {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-cli-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  return dir
}

t.test('a parameter is read as the job says it is', async t => {
  const { url, sent } = await api(t)
  const file = join(folder(t), 'parameters.yaml')
  writeFileSync(file, 'version: "1.0"\nrestarts: 1\n')
  const given = ['version=1.4.2', 'share=0.5', 'hard=true', 'services=web,worker', 'ports=[80, 443]', 'where=web-1']
  const flags = [...given, 'login=deploy'].flatMap(pair => ['--param', pair])
  const { code } = await said(() => main(['--url', url, 'run', 'trigger', jobId, '--param-file', file, ...flags]))
  t.equal(code, 0)
  const ids = { where: targetId, login: targetId }
  const lists = { services: ['web', 'worker'], ports: [80, 443] }
  t.same(sent, [
    {
      name: 'trigger-run',
      body: { jobId, parameters: { version: '1.4.2', restarts: 1, share: 0.5, hard: true, ...lists, ...ids } },
    },
  ])
})

t.test('a parameter that cannot be meant is refused before anything is sent', async t => {
  const { url, sent } = await api(t)
  for (const [pair, pattern] of [
    ['vershion=1', /no parameter vershion; did you mean version\?/],
    ['colour=red', /no parameter colour; it has version, restarts/],
    ['version', /takes name=value/],
    ['restarts=often', /restarts is a whole number, not often/],
    ['restarts=1.5', /a whole number/],
    ['share=half', /share is a number, not half/],
    ['hard=maybe', /true or false, not maybe/],
    ['ports=[80', /not valid JSON/],
    ['where=db-9', /there is no target called db-9/],
  ] as const) {
    const { code, err } = await said(() => main(['--url', url, 'run', 'trigger', jobId, '--param', pair]))
    t.equal(code, pair.startsWith('where') ? 4 : 2, pair)
    t.match(err, pattern, pair)
  }
  const { err } = await said(() =>
    main(['--url', url, 'run', 'trigger', jobId, '--version', '2', '--param', 'version=x']),
  )
  t.match(err, /version is a whole number/, 'the parameters are those of the version')
  t.same(sent, [])
})

t.test('a plan is shown, and confirmation and the rest are passed on', async t => {
  const plan = { mode: 'plan', jobName: 'release', targets: 3, steps: [{ id: 'install' }] }
  const { url, sent } = await api(t, { '/v1/commands/trigger-run': plan })
  const { out } = await said(() => main(['--url', url, 'run', 'create', jobId, '--plan', '--confirm']))
  t.same(JSON.parse(out), plan)
  t.same(sent[0]?.body, { jobId, confirm: true, mode: 'plan' })
})

t.test('what is done to runs says exactly what was asked for', async t => {
  const many = { commandId: runId, matched: 1, runs: [{ runId, status: 200, cancelled: true }] }
  const { url, sent } = await api(t, { '/v1/commands/cancel-runs': many })
  const why = ['--reason', 'because']
  for (const argv of [
    ['run', 'cancel', runId, ...why],
    ['run', 'pause', runId, ...why],
    ['run', 'resume', runId],
    ['run', 'rerun', runId, '--failed', '--from-step', 'restart', '--confirm'],
    ['run', 'cancel-target', runId, 'web-1', ...why],
    ['run', 'cancel-step', runId, '7', 'install'],
    ['run', 'resolve-step', runId, targetId, 'install', '--as', 'failed', ...why],
    ['run', 'cancel-all', '--job', jobId, '--status', 'queued,running', '--initiator', 'nightly'],
    ['approval', 'approve', runId, 'go'],
    ['approval', 'delegate', runId, 'go', jobId],
    ['approval', 'deny', runId, 'go', 'no'],
  ])
    t.equal((await said(() => main(['--url', url, ...argv]))).code, 0, argv.join(' '))
  const reason = 'because'
  t.same(sent, [
    { name: 'cancel-run', body: { runId, reason } },
    { name: 'pause-run', body: { runId, reason } },
    { name: 'resume-run', body: { runId } },
    { name: 'rerun', body: { of: runId, only: 'failed', fromStep: 'restart', confirm: true } },
    { name: 'cancel-target-run', body: { runId, n: 4, reason } },
    { name: 'cancel-step', body: { runId, n: 7, stepId: 'install' } },
    { name: 'resolve-step', body: { runId, n: 4, stepId: 'install', as: 'failed', reason } },
    { name: 'cancel-runs', body: { jobId, status: ['queued', 'running'], initiator: 'nightly' } },
    { name: 'grant-approval', body: { runId, stepId: 'go', digest: 'ab'.repeat(32) } },
    { name: 'delegate-approval', body: { runId, stepId: 'go', to: { kind: 'user', id: jobId } } },
    { name: 'deny-approval', body: { runId, stepId: 'go', reason: 'no' } },
  ])
  const refused = ['run', 'resolve-step', runId, '1', 'install', '--as', 'maybe', ...why]
  t.equal((await said(() => main(['--url', url, ...refused]))).code, 2)
  const nowhere = await said(() => main(['--url', url, 'run', 'cancel-target', runId, 'db-9']))
  t.match(nowhere, { code: 4, err: /no target db-9/ })
})

t.test('a definition that is refused is explained path by path', async t => {
  const errors = [
    { path: 'steps.0.with.command', message: 'there is no step named instal; did you mean install?' },
    { path: 'parameters.version.pattern', message: 'not a regular expression' },
  ]
  const problem = {
    type: 'urn:opsconductor:problem:invalid-workflow',
    title: 'The request does not match',
    status: 422,
    errors,
  }
  const { url, sent } = await api(t, { '/v1/commands/define-job': problem })
  const file = join(folder(t), 'job.yaml')
  writeFileSync(file, 'name: release\nparameters: { version: { type: string, pattern: "(" } }\nsteps: []\n')
  const { code, err } = await said(() => main(['--url', url, 'job', 'create', '-f', file]))
  t.equal(code, 2)
  t.match(err, /^ {2}steps\.0\.with\.command: there is no step named instal; did you mean install\?$/m)
  t.match(err, /^ {2}parameters\.version\.pattern: not a regular expression$/m)
  t.match(sent[0]?.body, { name: 'release', parameters: { version: { pattern: '(' } } })
  t.equal((await said(() => main(['--url', url, 'job', 'publish', jobId, '-f', file]))).code, 0)
  t.notOk('name' in (sent[1]?.body ?? {}), 'only a new job takes a name')
})

const happened = (type: string, data: object) => `event: event\ndata: ${JSON.stringify({ type, data })}\n\n`

t.test('who watches a run is told what it waits for, and by the exit code what came of it', async t => {
  const watch = async (status: string, events: string) => {
    const { url } = await api(
      t,
      { [`/v1/runs/${runId}`]: { runId, jobName: 'release', status, targets: 1, counts } },
      events,
    )
    return await said(() => main(['--url', url, 'run', 'follow', runId]))
  }
  const asked = happened('ApprovalRequested', { runId, stepId: 'go', prompt: 'really?' })
  const granted = await watch('succeeded', asked + happened('TargetRunSucceeded', { n: 4 }))
  t.equal(granted.code, 0)
  t.match(granted.err, /waits for approval: really\?\n {2}opsconductor approval grant \S+ go\n✔ web-1 {2}1\/1/)
  t.equal((await watch('rejected', asked + happened('ApprovalDenied', { reason: 'no' }))).code, 5)
  t.equal((await watch('timed-out', '')).code, 124)
  t.equal((await watch('partially-succeeded', '')).code, 1)
  const needed = happened('TargetRunNeedsAttention', { n: 4, detail: 'who knows' }) + happened('RunNeedsAttention', {})
  const stuck = await watch('needs-attention', needed)
  t.match(stuck, { code: 5, err: /\? web-1 {2}0\/1 {2}who knows\n[\s\S]*opsconductor run attention/ })
  t.equal(
    (await watch('succeeded', needed + happened('TargetRunSucceeded', { n: 4 }))).code,
    0,
    'it was resolved since',
  )
  const retried = happened('StepRetryScheduled', { n: 4, stepId: 'install', detail: 'exit code 1', notBefore: 'soon' })
  t.match((await watch('succeeded', retried)).err, /↻ web-1 {2}install: exit code 1; again at soon/)
})

t.test('results are shown as they were given, once each', async t => {
  const results = {
    items: [
      {
        count: 3,
        targets: [
          { n: 0, targetName: 'a' },
          { n: 1, targetName: 'b' },
        ],
        sample: 'TGludXgK',
        truncated: false,
      },
      { count: 1, targets: [{ n: 2, targetName: 'c' }], sample: 'G1szMW1CU0QK', truncated: true },
    ],
    next: null,
  }
  const plan = [{ id: 'install' }, { id: 'uname' }, { id: 'go', gate: true }]
  const { url } = await api(t, { [`/v1/runs/${runId}`]: { plan }, [`/v1/runs/${runId}/results`]: results })
  const { out } = await said(() => main(['--url', url, '-o', 'table', 'run', 'results', runId]))
  const rule = '-'.repeat(15)
  t.equal(out, [rule, 'a,b,… (3)', rule, 'Linux', rule, 'c (1)', rule, '\ufffd[31mBSD', '…', ''].join('\n'))
  const empty = await api(t)
  t.match(await said(() => main(['--url', empty.url, 'run', 'results', runId])), { code: 2, err: /--step/ })
})

t.test('what needs a person is shown with what to do', async t => {
  const found = {
    paused: true,
    approvals: [{ stepId: 'go', prompt: 'really?' }],
    items: [{ n: 4, stepId: 'install', targetName: 'web-1', detail: 'who knows' }],
    leftOver: [{ n: 5, stepId: 'clean', targetName: 'web-2', detail: null, help: 'look for it' }],
  }
  const { url } = await api(t, { [`/v1/runs/${runId}/attention`]: found })
  const { out } = await said(() => main(['--url', url, '-o', 'table', 'run', 'attention', runId]))
  t.match(out, /^paused .*opsconductor run resume/m)
  t.match(out, /^approval .*opsconductor approval grant \S+ go, or deny$/m)
  t.match(out, /^unknown outcome +4 +web-1 +install .*resolve-step \S+ 4 install --as/m)
  t.match(out, /^left over +5 +web-2 +clean +- +look for it$/m)
})

t.test('a bar shows how far it is', async t => {
  t.equal(bar(0, 10, 0), `[${'.'.repeat(30)}] 0% 0/10`)
  t.equal(bar(999, 1000, 2), `[${'#'.repeat(29)}.] 99% 999/1000, 2 failed`)
  t.equal(bar(3, 3, 0), `[${'#'.repeat(30)}] 100% 3/3`)
})
