import t from 'tap'
import type { CredentialKind } from '../../schemas/credential.ts'
import type { RunEvent } from '../../schemas/run.ts'
import { specFor, specMeta } from '../../test/support/decider-spec.ts'
import { fold } from './decider.ts'
import type { Job } from './job.ts'
import { run } from './run.ts'
import type { CredentialStanding, RunFacts } from './run-request.ts'
import { isFinished, type KnownRun } from './run-state.ts'

const idOf = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${String(n).padStart(12, '0')}`
const runId = idOf(1)
const jobId = idOf(2)
const [web1, web2, gone] = [idOf(11), idOf(12), idOf(13)]
const deploy = idOf(21)
const common = { timeoutSeconds: 60, continueOnError: false, idempotent: false }
const steps = [
  {
    id: 'a',
    uses: 'ssh.command' as const,
    with: { command: 'uptime' },
    timeoutSeconds: 60,
    continueOnError: false,
    idempotent: false,
  },
]
const version = (n: number, more = {}) => ({
  jobId,
  version: n,
  steps,
  selection: { labels: 'env=prod' },
  digest: 'a'.repeat(64),
  ...more,
})
const jobOf = (status: 'enabled' | 'disabled' | 'archived', ...versions: Array<ReturnType<typeof version>>): Job => ({
  status,
  jobId,
  name: 'uptime',
  description: undefined,
  versions: versions.length > 0 ? versions : [version(1)],
})
const factsOf = (more: Partial<RunFacts> = {}): RunFacts => ({
  job: jobOf('enabled'),
  targets: [
    { targetId: web1, status: 'active', credentialId: deploy },
    { targetId: web2, status: 'active', credentialId: deploy },
  ],
  credentials: new Map([[deploy, 'active']]),
  ...more,
})
const trigger = { type: 'trigger-run', data: { runId, jobId } } as const
const requested = {
  type: 'RunRequested',
  data: {
    runId,
    jobId,
    jobVersion: 1,
    jobName: 'uptime',
    selection: { labels: 'env=prod' },
    targets: 2,
    initiator: specMeta.actor,
    access: 'exclusive' as 'exclusive' | 'shared',
    plan: [{ id: 'a' }],
  },
} satisfies RunEvent
const resolved = { type: 'TargetsResolved' as const, data: { runId, from: 0, targetIds: [web1, web2] } }
const started = { type: 'RunStarted', data: { runId } } as const
const cancel = { type: 'cancel-run', data: { runId, reason: 'wrong' } } as const
const cancelling = { type: 'RunCancellationRequested', data: { runId, reason: 'wrong' } } as const
const start = { type: 'start-run', data: { runId } } as const
const counts = (succeeded: number, failed = 0, cancelled = 0, needsAttention = 0) => ({
  succeeded,
  failed,
  cancelled,
  needsAttention,
})
const finish = (...c: Parameters<typeof counts>) =>
  ({ type: 'finish-run', data: { runId, counts: counts(...c) } }) as const
const succeeded = { type: 'RunSucceeded', data: { runId, counts: counts(2) } } as const

t.test('a rerun that begins later passes over gates, approvals only if they were given', async t => {
  const approval = { uses: 'approval' as const, with: { prompt: 'Go?', quorum: 1, expiresSeconds: 60 }, ...common }
  const nested = { uses: 'job.run' as const, with: { jobId, sameTargets: false }, ...common }
  const gated = [...steps, { id: 'ask', ...approval }, { id: 'nested', ...nested }, { ...steps[0], id: 'b' }]
  const job = jobOf('enabled', version(1, { steps: gated }))
  const rerun = (fromStep?: string) => ({ type: 'rerun', data: { runId, of: idOf(9), fromStep } }) as const
  const after = (gates: KnownRun['gates'], fromStep?: string) => {
    const earlier = { requested: { ...requested.data, runId: idOf(9) }, targetIds: [web1, web2], gates }
    return specFor(t, run).given().when(rerun(fromStep), factsOf({ job, earlier }))
  }
  const plan = [{ id: 'a' }, { id: 'ask', gate: true as const }, { id: 'nested', gate: true as const }, { id: 'b' }]
  const asked = (fromStep?: string) => ({ ...requested.data, plan, rerunOf: idOf(9), fromStep })
  const skipped = (stepId: string): RunEvent => ({
    type: 'RunStepSkipped',
    data: { runId, stepId, why: 'before-first-step' },
  })
  const given = { ask: { kind: 'undone', status: 'passed' } } as const
  const begun = (fromStep?: string, ...passed: string[]): RunEvent[] => [
    { type: 'RunRequested', data: asked(fromStep) },
    ...passed.map(skipped),
    resolved,
  ]
  after(given, 'b').thenRecords(...begun('b', 'ask', 'nested'))
  after(given, 'nested').thenRecords(...begun('nested', 'ask'))
  after({}, 'ask').thenRecords(...begun('ask'))
  after({}).thenRecords(...begun())
  after({}, 'b').thenRejects('approval-missing')
  after({ ask: { kind: 'undone', status: 'closed' } }, 'b').thenRejects('approval-missing')
  const again = specFor(t, run).given(...begun('b'))
  again.when(rerun('b'), factsOf()).thenNothing()
  again.when(rerun('a'), factsOf()).thenRejects('run-already-exists')
  t.match(fold(run, begun('b', 'ask', 'nested')), {
    ...{ status: 'queued', gates: { ask: { status: 'passed' }, nested: { status: 'passed' } } },
  })
})

t.test('a secret parameter names a credential that is there to be read', async t => {
  const parameters = { token: { type: 'secret' as const } }
  const spec = specFor(t, run).given()
  const when = (status?: CredentialStanding) => {
    const credentials = new Map<string, CredentialStanding>([
      [deploy, 'active'],
      ...(status ? [[idOf(22), status] as const] : []),
    ])
    const given = { ...trigger, data: { ...trigger.data, parameters: { token: idOf(22) } } }
    return spec.when(given, factsOf({ job: jobOf('enabled', version(1, { parameters })), credentials }))
  }
  when().thenRejects('credential-not-found')
  when('revoked').thenRejects('credential-revoked')
  when('expired').thenRejects('credential-expired')
  when('not-yours').thenRejects('credential-not-yours')
  when('active').thenRecords({ ...requested, data: { ...requested.data, parameters: { token: idOf(22) } } }, resolved)
})

t.test('a credential is of a kind that can do what it is for', async t => {
  const spec = specFor(t, run).given()
  const parameters = { token: { type: 'secret' as const }, tls: { type: 'secret' as const } }
  const base = { timeoutSeconds: 60, continueOnError: false, idempotent: false }
  const ask = { method: 'GET', url: 'https://x', followRedirects: 0, maxBytes: 1 } as const
  const withCertificate = { uses: 'http.request', with: { ...ask, clientCertificate: '${{ params.tls }}' } } as const
  const reading = { uses: 'ssh.command', with: { command: 'cat', stdin: '${{params.token}}' } } as const
  const steps = [
    { ...base, id: 'read', ...reading },
    { ...base, id: 'ask', uses: 'noop' as const, with: {}, undo: withCertificate },
  ]
  const job = jobOf('enabled', version(1, { parameters, steps }))
  const [token, tls] = [idOf(22), idOf(23)]
  const credentials = new Map<string, CredentialStanding>([deploy, token, tls].map(id => [id, 'active']))
  const when = (own: Array<[string, CredentialKind]>) => {
    const fitting: Array<[string, CredentialKind]> = [
      [deploy, 'ssh-key'],
      [token, 'api-token'],
      [tls, 'client-certificate'],
    ]
    const kinds = new Map([...fitting, ...own])
    const asked = { ...trigger, data: { ...trigger.data, parameters: { token, tls } } }
    return spec.when(asked, factsOf({ job, credentials, kinds }))
  }
  for (const kind of ['api-token', 'windows-password', 'client-certificate', 'generic'] as const)
    when([[deploy, kind]]).thenRejects('credential-unfit')
  when([[token, 'ssh-certificate']]).thenRejects('credential-unfit')
  when([[tls, 'ssh-key']]).thenRejects('credential-unfit')
  const kinds = new Map<string, CredentialKind>([[tls, 'client-certificate']])
  const asked = { ...trigger, data: { ...trigger.data, parameters: { token, tls } } }
  const events = run.decide(asked, run.initial, specMeta, factsOf({ job, credentials, kinds }))
  t.match(events, [{ type: 'RunRequested', data: { parameters: { token, tls } } }, {}])
})

t.test('a run records its resolved targets in order', async t => {
  specFor(t, run).given().when(trigger, factsOf()).thenRecords(requested, resolved)
})

t.test('the newest version runs unless one is named', async t => {
  const job = jobOf('enabled', version(1), version(2, { maxParallel: 5, credentialId: deploy }))
  const targets = [
    { targetId: web1, status: 'active' as const },
    { targetId: web2, status: 'active' as const },
  ]
  const newest = { ...requested, data: { ...requested.data, jobVersion: 2, maxParallel: 5, credentialId: deploy } }
  specFor(t, run).given().when(trigger, factsOf({ job, targets })).thenRecords(newest, resolved)
  specFor(t, run)
    .given()
    .when({ ...trigger, data: { ...trigger.data, version: 1 } }, factsOf({ job }))
    .thenRecords(requested, resolved)
  specFor(t, run)
    .given()
    .when({ ...trigger, data: { ...trigger.data, version: 3 } }, factsOf({ job }))
    .thenRejects('job-version-not-found')
})

t.test('a large run is recorded in events of at most a thousand targets', async t => {
  const targets = Array.from({ length: 10_000 }, (_, i) => ({
    targetId: idOf(i),
    status: 'active' as const,
    credentialId: deploy,
  }))
  const events = run.decide(trigger, { status: 'absent' }, specMeta, factsOf({ targets }))
  t.equal(events.length, 11)
  t.ok(JSON.stringify(events).length < 512 * 1024)
  const state = fold(run, events)
  t.same(
    state.status !== 'absent' && state.targetIds,
    targets.map(x => x.targetId),
  )
  const more = [...targets, { targetId: idOf(10_000), status: 'active' as const, credentialId: deploy }]
  specFor(t, run)
    .given()
    .when(trigger, factsOf({ targets: more }))
    .thenRejects('too-many-targets')
})

t.test('what cannot run is refused with its own reason', async t => {
  const spec = specFor(t, run).given()
  const targetsOf = (status: 'active' | 'decommissioned' | 'absent', credentialId?: string) => ({
    targets: [{ targetId: gone, status, credentialId }],
  })
  spec.when(trigger, undefined).thenRejects('job-not-found')
  spec.when(trigger, factsOf({ job: jobOf('disabled') })).thenRejects('job-disabled')
  spec.when(trigger, factsOf({ job: jobOf('archived') })).thenRejects('job-archived')
  spec
    .when(trigger, factsOf({ job: jobOf('enabled', version(1, { selection: undefined })) }))
    .thenRejects('selection-missing')
  spec.when(trigger, factsOf({ targets: [] })).thenRejects('empty-selection')
  spec.when(trigger, factsOf(targetsOf('absent'))).thenRejects('target-not-found')
  spec.when(trigger, factsOf(targetsOf('decommissioned', deploy))).thenRejects('target-decommissioned')
  spec.when(trigger, factsOf(targetsOf('active'))).thenRejects('credential-missing')
  spec.when(trigger, factsOf({ credentials: new Map() })).thenRejects('credential-not-found')
  spec.when(trigger, factsOf({ credentials: new Map([[deploy, 'revoked']]) })).thenRejects('credential-revoked')
})

t.test('a repeated trigger records nothing, another one under the same id is refused', async t => {
  const spec = specFor(t, run).given(requested, resolved)
  spec.when(trigger, factsOf()).thenNothing()
  spec
    .when({ ...trigger, data: { ...trigger.data, version: 1, selection: { labels: 'env=prod' } } }, factsOf())
    .thenNothing()
  for (const other of [{ jobId: idOf(3) }, { version: 2 }, { reason: 'x' }, { selection: { targetIds: [web1] } }])
    spec.when({ ...trigger, data: { ...trigger.data, ...other } }, factsOf()).thenRejects('run-already-exists')
})

t.test('a run starts once, and not when it is being cancelled', async t => {
  const spec = specFor(t, run)
  spec.given().when(start).thenRejects('run-not-found')
  spec.given(requested, resolved).when(start).thenRecords(started)
  spec.given(requested, resolved, started).when(start).thenNothing()
  spec.given(requested, resolved, started, cancelling).when(start).thenNothing()
  spec.given(requested, resolved, cancelling).when(start).thenRejects('run-not-startable')
  spec.given(requested, resolved, started, succeeded).when(start).thenRejects('run-finished')
})

t.test('a run is cancelled once, while it lasts', async t => {
  const spec = specFor(t, run)
  spec.given().when(cancel).thenRejects('run-not-found')
  spec.given(requested, resolved).when(cancel).thenRecords(cancelling)
  spec.given(requested, resolved, started).when(cancel).thenRecords(cancelling)
  spec.given(requested, resolved, cancelling).when(cancel).thenNothing()
  spec.given(requested, resolved, started, succeeded).when(cancel).thenRejects('run-finished')
})

t.test('how a run ends follows from its target runs', async t => {
  const given = specFor(t, run).given(requested, resolved, started)
  const asked = specFor(t, run).given(requested, resolved, started, cancelling)
  const endings = [
    [given, [2, 0, 0, 0], 'RunSucceeded'],
    [given, [1, 1, 0, 0], 'RunPartiallySucceeded'],
    [given, [0, 2, 0, 0], 'RunFailed'],
    [given, [1, 0, 1, 0], 'RunPartiallySucceeded'],
    [asked, [1, 0, 1, 0], 'RunCancelled'],
    [asked, [0, 1, 1, 0], 'RunCancelled'],
    [asked, [0, 0, 1, 1], 'RunCancelled'],
    [asked, [2, 0, 0, 0], 'RunSucceeded'],
  ] as const
  for (const [spec, [a, b, c, d], type] of endings) {
    spec.when(finish(a, b, c, d)).thenRecords({ type, data: { runId, counts: counts(a, b, c, d) } })
    t.ok(isFinished(fold(run, [requested, { type, data: { runId, counts: counts(a, b, c, d) } }])), type)
  }
  given.when(finish(1)).thenRejects('conflict')
  given.when(finish(1, 0, 0, 1)).thenRejects('conflict')
  specFor(t, run).given(requested, resolved, started, succeeded).when(finish(0, 2)).thenNothing()
  t.notOk(isFinished(fold(run, [requested, started, cancelling])))
})
