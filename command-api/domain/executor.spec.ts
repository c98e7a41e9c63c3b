import t from 'tap'
import type { ExecutorEvent } from '../../schemas/executor.ts'
import { specFor } from '../../test/support/decider-spec.ts'
import { executor, MAX_REFUSALS } from './executor.ts'

const executorId = 'east-1'
const tokenHash = 'a'.repeat(64)
const publicKey = 'k'.repeat(43)
const program = { version: '0.1.0', protocol: 1 }
const place = { pool: 'east', labels: { site: 'east' } }
const ask = { type: 'create-enrolment-token', data: { executorId, ...place, expiresSeconds: 3600 } } as const
const come = { type: 'enrol-executor', data: { executorId, tokenHash, publicKey, ...program } } as const
const revoke = { type: 'revoke-executor', data: { executorId, reason: 'stolen' } } as const
const drain = { type: 'drain-executor', data: { executorId } } as const
const resume = { type: 'resume-executor', data: { executorId } } as const
const refusedReport = {
  executorId,
  runId: '0192d3c4-5e6f-7a8b-9c0d-000000000002',
  n: 0,
  epoch: 1,
  report: 'succeed-step',
}

// Commands of specs are decided at 2030-01-01T00:00:00Z.
const issued = (hash = tokenHash, expiresAt = '2030-01-01T01:00:00.000Z'): ExecutorEvent => ({
  type: 'EnrolmentTokenIssued',
  data: { executorId, tokenHash: hash, ...place, expiresAt },
})
const enrolled = (key = publicKey, hash = tokenHash): ExecutorEvent => ({
  type: 'ExecutorEnrolled',
  data: { executorId, publicKey: key, ...place, ...program, tokenHash: hash },
})
const revoked: ExecutorEvent = { type: 'ExecutorRevoked', data: revoke.data }
const drained: ExecutorEvent = { type: 'ExecutorDrained', data: drain.data }
const heardAnyway: ExecutorEvent = { type: 'ExecutorReportRefused', data: refusedReport }
const { given } = specFor(t, executor)

t.test('a token is issued by its digest, for a time, and the newest counts', async () => {
  given().when(ask, { tokenHash }).thenRecords(issued())
  given(issued()).when(ask, { tokenHash }).thenNothing()
  given(issued())
    .when(ask, { tokenHash: 'b'.repeat(64) })
    .thenRecords(issued('b'.repeat(64)))
  given(issued(), issued('b'.repeat(64)))
    .when(come)
    .thenRejects('enrolment-token-invalid')
  t.throws(() => given().when(ask).thenNothing(), /by its hash/)
})

t.test('a token lets one executor in, once, and says where it belongs', async () => {
  given(issued()).when(come).thenRecords(enrolled())
  given(issued(), enrolled()).when(come).thenNothing()
  given(issued(), enrolled())
    .when({ ...come, data: { ...come.data, publicKey: 'z'.repeat(43) } })
    .thenRejects('enrolment-token-invalid')
  given(issued('b'.repeat(64)))
    .when(come)
    .thenRejects('enrolment-token-invalid')
  given(issued(tokenHash, '2030-01-01T00:00:00.000Z')).when(come).thenRejects('enrolment-token-expired')
  given().when(come).thenRejects('executor-not-found')
})

t.test('what is revoked stays so until somebody lets it in anew, with another key', async () => {
  const again = 'b'.repeat(64)
  const comeAgain = { ...come, data: { ...come.data, tokenHash: again, publicKey: 'z'.repeat(43) } }
  given(issued(), enrolled()).when(revoke).thenRecords(revoked)
  given(issued(), enrolled(), revoked).when(revoke).thenNothing()
  given(issued(), enrolled(), revoked).when(come).thenRejects('enrolment-token-invalid')
  given(issued(), enrolled(), revoked, issued(again))
    .when({ ...come, data: { ...come.data, tokenHash: again } })
    .thenRejects('executor-revoked')
  given(issued(), enrolled(), revoked, issued(again))
    .when(comeAgain)
    .thenRecords(enrolled('z'.repeat(43), again))
  given(issued(), enrolled(), revoked, issued(again)).when(revoke).thenRecords(revoked)
  given(issued()).when(revoke).thenRecords(revoked)
  given(issued(), revoked).when(come).thenRejects('enrolment-token-invalid')
  for (const command of [drain, resume])
    given(issued(), enrolled(), revoked).when(command).thenRejects('executor-revoked')
})

t.test('draining and resuming, labels and pools', async () => {
  given(issued(), enrolled()).when(drain).thenRecords(drained)
  given(issued(), enrolled(), drained).when(drain).thenNothing()
  given(issued(), enrolled(), drained).when(resume).thenRecords({ type: 'ExecutorResumed', data: { executorId } })
  given(issued(), enrolled()).when(resume).thenNothing()
  given(issued()).when(drain).thenRejects('executor-not-enrolled')
  given().when(drain).thenRejects('executor-not-found')

  const label = (labels: Record<string, string>) =>
    ({ type: 'set-executor-labels', data: { executorId, labels } }) as const
  given(issued(), enrolled())
    .when(label({ site: 'east' }))
    .thenNothing()
  for (const labels of [{}, { site: 'west' }, { zone: 'east' }]) {
    given(issued(), enrolled())
      .when(label(labels))
      .thenRecords({ type: 'ExecutorLabelsSet', data: { executorId, labels } })
  }
  const move = (pool: string) => ({ type: 'move-executor-to-pool', data: { executorId, pool } }) as const
  const moved: ExecutorEvent = { type: 'ExecutorMovedToPool', data: { executorId, pool: 'west' } }
  given(issued(), enrolled()).when(move('east')).thenNothing()
  given(issued(), enrolled()).when(move('west')).thenRecords(moved)
  given(issued(), enrolled(), moved).when(move('west')).thenNothing()
})

t.test('what it runs is noted when it changes', async () => {
  const note = (version: string, protocol = 1) =>
    ({ type: 'note-executor-version', data: { executorId, version, protocol } }) as const
  given(issued(), enrolled()).when(note('0.1.0')).thenNothing()
  for (const changed of [note('0.2.0'), note('0.1.0', 2)]) {
    const event: ExecutorEvent = { type: 'ExecutorVersionChanged', data: changed.data }
    given(issued(), enrolled()).when(changed).thenRecords(event)
    given(issued(), enrolled(), event).when(changed).thenNothing()
  }
})

t.test('what is refused is history, up to a bound', async () => {
  const report = { type: 'refuse-report', data: refusedReport } as const
  const knock = { type: 'refuse-enrolment', data: { executorId, publicKey, why: 'token-invalid' } } as const
  const many = Array.from({ length: MAX_REFUSALS }, () => heardAnyway)
  given(issued(), enrolled(), revoked).when(report).thenRecords(heardAnyway)
  given(issued(), enrolled(), revoked, ...many)
    .when(report)
    .thenNothing()
  given(issued()).when(knock).thenRecords({ type: 'EnrolmentRefused', data: knock.data })
  given(issued(), ...many)
    .when(knock)
    .thenNothing()
  given(issued(), ...many, issued('b'.repeat(64)))
    .when(knock)
    .thenRecords({ type: 'EnrolmentRefused', data: knock.data })
})
