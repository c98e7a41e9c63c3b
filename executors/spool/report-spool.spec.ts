import { readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { systemIds } from '../../infra/ids.ts'
import type { ReportMessage } from '../../schemas/bus.ts'
import { encodeRecord } from './record-format.ts'
import { ReportSpool } from './report-spool.ts'

const disk = { onFull: () => undefined, onFatal: (error: Error) => t.fail(error.message) }
const held = (n: number) => ({ runId: '0190a000-0000-7000-8000-000000000001', n, epoch: 1 })
const grant = (n: number) => ({ ...held(n), stepId: 'do', attempt: 1, seq: 1 })
const report = (n: number): ReportMessage => ({
  ...{ reportId: systemIds.next(), executorId: 'east-1', instanceId: systemIds.next() },
  sentAt: '2026-03-01T12:00:00.000Z',
  report: { type: 'hand-back-target-run', data: { ...held(n), seq: 1, detail: 'x'.repeat(500) } },
})
const files = (folder: string) => readdirSync(folder).sort()
const bytes = (folder: string) => files(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0)

async function fill(spool: ReportSpool, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const message = report(i % 9_000)
    const reported = spool.report(message)
    spool.done(message.reportId)
    if (i % 500 === 0) await reported
  }
}

t.test('the file is rewritten when most of it is done with, and nothing that is owed is lost', async t => {
  const folder = t.testdir()
  const spool = await ReportSpool.open(folder, disk)
  for (const n of [1, 2, 3]) spool.hold(held(n))
  await spool.grant(grant(2))
  const owed = report(3)
  await spool.report(owed)
  t.same(files(folder), ['reports.00000001'])
  await fill(spool, 7_000)
  spool.release(held(1))
  await spool.close()
  t.equal(files(folder).length, 1, 'only the newest is left')
  t.not(files(folder)[0], 'reports.00000001')
  t.ok(bytes(folder) < 5_000_000, `${bytes(folder)} bytes of more than 5 MB that were written`)
  const again = await ReportSpool.open(folder, disk)
  t.same(again.held(), [held(2), held(3)])
  t.same(again.grants(), [grant(2)])
  t.same(again.reports(), [owed])
  await again.close()
})

t.test('a rewrite that a crash cut short does not count', async t => {
  const folder = t.testdir()
  const spool = await ReportSpool.open(folder, disk)
  spool.hold(held(1))
  await spool.close()
  const begun = encodeRecord(Buffer.from(JSON.stringify({ kind: 'held', held: held(7) })), 0)
  writeFileSync(path.join(folder, 'reports.00000002'), begun)
  const again = await ReportSpool.open(folder, disk)
  t.same(again.held(), [held(1)])
  t.same(files(folder), ['reports.00000001'])
  await again.close()
})

t.test('one whose old file could not be removed counts', async t => {
  const folder = t.testdir()
  const spool = await ReportSpool.open(folder, disk)
  spool.hold(held(1))
  await spool.close()
  const records = [{ kind: 'held', held: held(7) }, { kind: 'complete' }]
  const whole = Buffer.concat(records.map(each => encodeRecord(Buffer.from(JSON.stringify(each)), 0)))
  writeFileSync(path.join(folder, 'reports.00000002'), whole)
  const again = await ReportSpool.open(folder, disk)
  t.same(again.held(), [held(7)])
  t.same(files(folder), ['reports.00000002'])
  await again.close()
})

t.test('a start that was granted is owed until its outcome is', async t => {
  const folder = t.testdir()
  const spool = await ReportSpool.open(folder, disk)
  for (const n of [1, 2, 3, 4]) await spool.grant(grant(n))
  const output = { bytes: 0, chunks: 0, sha256: '0'.repeat(64), truncated: false }
  const of = (n: number) => ({ ...grant(n), at: '2026-03-01T12:00:00.000Z' })
  const say = (body: ReportMessage['report']) =>
    spool.report({ ...report(0), reportId: systemIds.next(), report: body })
  await say({ type: 'succeed-step', data: { ...of(1), output, exitCode: 0 } })
  await say({ type: 'report-step-lost', data: { ...of(2), detail: 'lost' } })
  await say({ type: 'report-cancelled', data: { ...of(3), termination: 'terminated', detail: 'stopped' } })
  t.same(spool.grants(), [grant(4)])
  await spool.close()
})
