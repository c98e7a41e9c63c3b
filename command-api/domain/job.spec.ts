import t from 'tap'
import { specFor, specMeta } from '../../test/support/decider-spec.ts'
import { command, definitionOf } from '../../test/support/workflow.ts'
import { fold } from './decider.ts'
import { type IdentifiedJobCommand, job, latest } from './job.ts'

const jobId = '0192d3c4-5e6f-7a8b-9c0d-00000000000b'
const steps = [
  {
    id: 'uptime',
    uses: 'ssh.command' as const,
    with: { command: 'uptime' },
    timeoutSeconds: 60,
    continueOnError: false,
    idempotent: false,
  },
]
const definition = { steps, selection: { labels: 'env=prod' } }
const digest = 'a'.repeat(64)
const other = 'b'.repeat(64)
const define = { type: 'define-job', data: { jobId, name: 'uptime', ...definition } } as const
const publish = { type: 'publish-job-version', data: { jobId, ...definition, reason: 'more' } } as const
const defined = { type: 'JobDefined', data: { jobId, name: 'uptime' } } as const
const published = (version: number, mark = digest) =>
  ({ type: 'JobVersionPublished', data: { jobId, version, ...definition, digest: mark } }) as const
const enabled = { type: 'JobEnabled', data: { jobId } } as const
const disabled = { type: 'JobDisabled', data: { jobId, reason: 'review' } } as const
const archived = { type: 'JobArchived', data: { jobId, reason: 'obsolete' } } as const
const enable: IdentifiedJobCommand = { type: 'enable-job', data: { jobId } }
const disable: IdentifiedJobCommand = { type: 'disable-job', data: { jobId, reason: 'review' } }
const archive: IdentifiedJobCommand = { type: 'archive-job', data: { jobId, reason: 'obsolete' } }

t.test('a job is defined with version 1', async t => {
  const spec = specFor(t, job)
  spec.given().when(define, { digest }).thenRecords(defined, published(1))
  spec.given(defined, published(1)).when(define, { digest }).thenNothing()
  spec.given(defined, published(1)).when(define, { digest: other }).thenRejects('job-already-exists')
  spec.given(defined, published(1), disabled).when(define, { digest }).thenRejects('job-already-exists')
})
t.test('a definition with a command that is refused is not published', async t => {
  const spec = specFor(t, job)
  const denied = [{ path: 'steps.0.with.command', message: 'delete-system-root: It deletes.' }]
  spec.given().when(define, { digest, denied }).thenRejects('command-denied')
  spec.given(defined, published(1)).when(publish, { digest: other, denied }).thenRejects('command-denied')
  spec.given(defined, published(1)).when(publish, { digest, denied }).thenNothing()
  t.throws(() => job.decide(define, { status: 'absent' }, specMeta, { denied }), {
    ...{ detail: 'steps.0.with.command: delete-system-root: It deletes.', errors: denied },
  })
})
t.test('a different definition is the next version', async t => {
  const spec = specFor(t, job)
  const second = { ...published(2, other), data: { ...published(2, other).data, reason: 'more' } }
  spec.given(defined, published(1)).when(publish, { digest: other }).thenRecords(second)
  spec.given(defined, published(1)).when(publish, { digest }).thenNothing()
  spec
    .given(defined, published(1), second)
    .when(publish, { digest })
    .thenRecords({ ...second, data: { ...second.data, version: 3, digest } })
})
t.test('enabled, disabled, archived', async t => {
  const spec = specFor(t, job)
  spec.given(defined, published(1)).when(disable, {}).thenRecords(disabled)
  spec.given(defined, published(1), disabled).when(disable, {}).thenNothing()
  spec.given(defined, published(1), disabled).when(enable, {}).thenRecords(enabled)
  spec.given(defined, published(1), disabled, enabled).when(enable, {}).thenNothing()
  spec.given(defined, published(1)).when(archive, {}).thenRecords(archived)
  spec.given(defined, published(1), archived).when(archive, {}).thenNothing()
  for (const late of [enable, disable, publish])
    spec.given(defined, published(1), archived).when(late, { digest: other }).thenRejects('job-archived')
  for (const early of [enable, disable, archive, publish])
    spec.given().when(early, { digest }).thenRejects('job-not-found')
})
t.test('every version stays', async t => {
  const state = fold(job, [defined, published(1), published(2, other)])
  if (state.status === 'absent') throw new Error('the job is absent')
  t.same(
    state.versions.map(v => v.version),
    [1, 2],
  )
  t.equal(latest(state)?.digest, other)
})
t.test('steps that make no workflow are refused, and all that is wrong is said', async t => {
  const broken = definitionOf({
    steps: [command('a', 'x', { needs: ['c'] }), command('b', 'x', { if: 'params.missing' })],
  })
  const republish = { type: 'publish-job-version', data: { jobId, ...broken } } as const
  const state = fold(job, [defined, published(1)])
  t.throws(() => job.decide(republish, state, specMeta, { digest: other }), {
    code: 'invalid-workflow',
    detail: /^steps\.0\.needs: there is no step c/,
  })
  specFor(t, job)
    .given()
    .when({ type: 'define-job', data: { jobId, name: 'uptime', ...broken } }, { digest })
    .thenRejects('invalid-workflow')
})
t.test('every field of a definition is kept', async t => {
  const whole = {
    ...definition,
    onFailure: [{ ...steps[0], id: 'tell' }] as typeof steps,
    parameters: { count: { type: 'integer' as const, default: 1 } },
    strategy: { pace: 'linear' as const, batches: [1, '10%'] },
    ...({ overlap: 'queue', priority: 0, pool: 'default', access: 'shared', timeouts: { runSeconds: 60 } } as const),
  }
  specFor(t, job)
    .given()
    .when({ type: 'define-job', data: { jobId, name: 'uptime', ...whole } }, { digest })
    .thenRecords(defined, { type: 'JobVersionPublished', data: { jobId, version: 1, ...whole, digest } })
})
