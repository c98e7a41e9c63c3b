import t from 'tap'
import type { ExecutorEvent, ExecutorRow } from '../../schemas/executor.ts'
import { evolveExecutor } from './executor.ts'

const executorId = 'east-1'
const tokenHash = 'a'.repeat(64)
const publicKey = 'k'.repeat(43)
const expiresAt = '2030-01-01T01:00:00.000Z'
const issued = (pool = 'east'): ExecutorEvent => ({
  type: 'EnrolmentTokenIssued',
  data: { executorId, tokenHash, pool, labels: { site: 'east' }, expiresAt },
})
const enrolled: ExecutorEvent = {
  type: 'ExecutorEnrolled',
  data: { executorId, publicKey, pool: 'east', labels: { site: 'east' }, version: '0.1.0', protocol: 1, tokenHash },
}
const revoked: ExecutorEvent = { type: 'ExecutorRevoked', data: { executorId, reason: 'stolen' } }
const after = (...events: ExecutorEvent[]) =>
  events.reduce<ExecutorRow | undefined>((row, event) => evolveExecutor(row, event), undefined)

t.test('an executor is shown as its events tell it', async t => {
  const nobody = { publicKey: null, version: null, protocol: null }
  const place = { executorId, name: executorId, pool: 'east', labels: { site: 'east' } }
  t.same(after(issued()), { ...place, ...nobody, status: 'invited', tokenExpiresAt: expiresAt })
  const known = { ...place, publicKey, version: '0.1.0', protocol: 1, status: 'enrolled', tokenExpiresAt: null }
  t.same(after(issued(), enrolled), known)
  const then = (event: ExecutorEvent) => after(issued(), enrolled, event)
  const drained: ExecutorEvent = { type: 'ExecutorDrained', data: { executorId } }
  t.same(then(drained), { ...known, status: 'draining' })
  t.same(after(issued(), enrolled, drained, { type: 'ExecutorResumed', data: { executorId } }), known)
  const labels = { zone: 'b' }
  t.same(then({ type: 'ExecutorLabelsSet', data: { executorId, labels } }), { ...known, labels })
  t.same(then({ type: 'ExecutorMovedToPool', data: { executorId, pool: 'west' } }), { ...known, pool: 'west' })
  const program = { version: '0.2.0', protocol: 2 }
  t.same(then({ type: 'ExecutorVersionChanged', data: { executorId, ...program } }), { ...known, ...program })
  t.same(then(revoked), { ...known, status: 'revoked' })
})

t.test('a new token shows, and changes nothing else until it is used', async t => {
  t.match(after(issued(), enrolled, revoked, issued('west')), {
    status: 'revoked',
    pool: 'east',
    tokenExpiresAt: expiresAt,
  })
  t.match(after(issued(), enrolled, revoked, issued(), enrolled), { status: 'enrolled', tokenExpiresAt: null })
  t.match(after(issued(), revoked), { status: 'revoked', tokenExpiresAt: null })
})

t.test('what was refused changes nothing', async t => {
  const runId = '0192d3c4-5e6f-7a8b-9c0d-000000000002'
  const before = after(issued(), enrolled, revoked)
  const report: ExecutorEvent = {
    type: 'ExecutorReportRefused',
    data: { executorId, runId, n: 0, epoch: 1, report: 'x' },
  }
  const knock: ExecutorEvent = { type: 'EnrolmentRefused', data: { executorId, publicKey, why: 'token-invalid' } }
  t.same(after(issued(), enrolled, revoked, report, knock), before)
  t.throws(() => after(enrolled), /nothing this event could change/)
})
