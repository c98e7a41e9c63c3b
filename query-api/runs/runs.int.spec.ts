import t, { type Test } from 'tap'
import { sha256Hex } from '../../infra/ids.ts'
import type { Pool } from '../../infra/postgres.ts'
import { streams } from '../../schemas/events.ts'
import { madeHolder } from '../../test/support/holder.ts'
import { History, ids } from '../../test/support/made-up-log.ts'
import { eventfulRun, onTarget, runsThatEndEarly } from '../../test/support/made-up-runs.ts'
import { serveQueries } from '../../test/support/query-api.ts'
import { freshReadModel } from '../../test/support/read-model.ts'
import { GATES, ITEM } from './item.ts'
import { MEDIAN } from './progress.ts'

const authorization = 'Bearer reader'

async function served(t: Test, history: History) {
  const model = await freshReadModel(t)
  const approver = { ...madeHolder('approver'), actor: { kind: 'user' as const, id: ids.run(99), roles: ['approver'] } }
  const { http, pool } = await serveQueries(t, model.url, key => (key === 'approver' ? approver : undefined))
  await model.project(history.events)
  const ask = (url: string, headers = {}) => http.inject({ url, headers: { authorization, ...headers } })
  const get = async (url: string) => (await ask(url)).json()
  return { model, pool, ask, get }
}

t.test('runs are found by what they are, who asked for them and when', async t => {
  const history = new History()
  for (const n of [0, 1]) history.job(n)
  const attention = history.request(0, 0, [0])
  const lost = onTarget(history, 0, 0, 0)
  lost.claim(['a'], ['a'])
  lost.start('a')
  lost.lose('a')
  const counts = { succeeded: 0, failed: 0, cancelled: 0, needsAttention: 1 }
  history.add(streams.run(attention), { type: 'RunNeedsAttention', data: { runId: attention, counts } })
  const failed = history.run(1, 0, [1], 1)
  const other = history.run(2, 1, [0])
  const again = ids.run(3)
  const nightly = { kind: 'schedule', id: 'nightly' } as const
  const chosen = { jobId: ids.job(0), jobVersion: 1, jobName: 'job-0', selection: { labels: 'env=prod' } }
  const requested = { ...{ runId: again, ...chosen, targets: 1, initiator: nightly }, rerunOf: failed, priority: 2 }
  const parent = { runId: other, stepId: 'deploy', depth: 1 }
  history.add(streams.run(again), { type: 'RunRequested', data: { ...requested, parent } })
  const { get } = await served(t, history)
  const found = async (query: string) =>
    (await get(`/v1/runs?${query}`)).items.map((item: { runId: string }) => item.runId)
  t.same(await found(''), [again, other, failed, attention])
  t.same(await found('sort=attention'), [attention, again, other, failed])
  const { items, next } = await get('/v1/runs?sort=attention&limit=2')
  t.match(items, [{ status: 'needs-attention' }, { rerunOf: failed, parent, priority: 2 }])
  t.same(await found(`sort=attention&limit=2&cursor=${next}`), [other, failed])
  t.same(await found('status=failed,succeeded'), [other, failed])
  t.same(await found('status=queued'), [again])
  t.same(await found(`jobId=${ids.job(1)}`), [other])
  t.same(await found(`targetId=${ids.target(0)}`), [other, attention])
  t.same(await found('initiator=nightly'), [again])
  t.same(await found(`rerunOf=${failed}`), [again])
  t.same(await found(`parent=${other}`), [again])
  const [first] = (await get(`/v1/runs?initiator=ada&sort=requestedAt&limit=1`)).items
  t.same(await found(`until=${first.requestedAt}`), [])
  t.same(await found(`until=2026-01-01T00:00:20Z&since=${first.requestedAt}`), [failed, attention])
  t.match(await get('/v1/runs?status=failed,nonsense'), { status: 400, errors: [{ path: 'status' }] })
})

t.test('how far a run is, and how long it may still take', async t => {
  const history = new History()
  history.job(0)
  history.run(0, 0, [0, 1, 2])
  const first = history.request(1, 0, [0, 1, 2, 3])
  const { model, get } = await served(t, history)
  const progress = async () => (await get(`/v1/runs/${first}`)).progress
  t.match(await progress(), { percent: 0, perMinute: null, estimatedSecondsLeft: 4, counts: { queued: 4 } })
  const before = history.events.length
  history.add(streams.run(first), { type: 'RunStarted', data: { runId: first } })
  history.targetRun(1, 0, 0)
  history.targetRun(1, 1, 1, 1)
  history.claim(1, 2, 2)
  await model.project(history.events.slice(before))
  const { percent, counts, estimatedSecondsLeft, perMinute } = await progress()
  t.equal(percent, 50)
  t.match(counts, { queued: 1, running: 1, succeeded: 1, failed: 1 })
  t.equal(estimatedSecondsLeft, 8, 'two are left, one at a time, each as long as the median of earlier runs')
  t.ok(perMinute >= 0)
  t.match(await get(`/v1/runs/${ids.run(0)}`), {
    progress: { percent: 100, perMinute: 11.3, estimatedSecondsLeft: null },
    ...{ parameters: {}, plan: [], gates: [], selection: { labels: 'env=prod' } },
  })
  t.equal((await get(`/v1/runs/${ids.run(7)}`)).status, 404)
})

t.test('approvals that wait, and what became of them', async t => {
  const history = new History()
  history.job(0)
  eventfulRun(history, 0, [0, 1, 2])
  runsThatEndEarly(history, 10, [0, 1])
  for (const n of [20, 21, 22]) {
    const runId = history.request(n, 0, [n])
    const asked = { runId, stepId: 'go', prompt: `really ${n}?`, quorum: 1, expiresAt: '2026-02-01T00:00:00.000Z' }
    const approvers = n === 21 ? { roles: ['approver'] } : n === 22 ? { roles: ['auditor'] } : undefined
    history.add(streams.run(runId), { type: 'ApprovalRequested', data: { ...asked, approvers } })
  }
  const { get, ask } = await served(t, history)
  const page = await get('/v1/approvals?limit=2')
  t.match(page.items, [
    { runId: ids.run(20), jobName: 'job-0', prompt: 'really 20?', granted: 0, targets: 1, initiator: { id: 'ada' } },
    { runId: ids.run(21) },
  ])
  t.match((await get(`/v1/approvals?limit=2&cursor=${page.next}`)).items, [{ runId: ids.run(22) }])
  t.match((await get(`/v1/approvals?runId=${ids.run(22)}`)).items.length, 1)
  const mine = await ask('/v1/approvals?mine=true', { authorization: 'Bearer approver' })
  t.match(mine.json().items, [{ runId: ids.run(20) }, { runId: ids.run(21) }])
  t.equal(mine.json().items.length, 2, 'what is asked of other roles is left out')
  t.same((await get('/v1/approvals?mine=true')).items, [], 'nothing is asked of somebody who may only read')
  const [passed] = (await get('/v1/approvals?status=passed')).items
  t.match(passed, { runId: ids.run(0), decisions: [{ granted: true, reason: 'seen' }, { granted: true }] })
  t.match((await get('/v1/approvals?status=denied')).items, [{ decisions: [{ granted: false, reason: 'no' }] }])
  t.match(await get(`/v1/runs/${ids.run(0)}`), { gates: [{ kind: 'approval' }, { kind: 'job-run', status: 'passed' }] })
  t.match(await get(`/v1/runs/${ids.run(20)}`), { status: 'awaiting-approval', awaiting: 'go' })
})

t.test('what needs a person, and what to do about it', async t => {
  const history = new History()
  history.job(0)
  const runId = history.request(0, 0, [0, 1, 2])
  for (const n of [0, 2]) {
    const target = onTarget(history, 0, n, n)
    target.claim(['install'], ['install'])
    target.start('install')
    target.lose('install')
  }
  const stopped = onTarget(history, 0, 1, 1)
  stopped.claim(['install'], ['install'])
  stopped.start('install')
  const step = { ...stopped.at, stepId: 'install', attempt: 1, epoch: 1 }
  stopped.add({ type: 'StepCancelled', data: { ...step, seq: 1, at: '2026-01-01T00:00:00Z', detail: 'asked to' } })
  stopped.add({ type: 'TerminationUnconfirmed', data: { ...step, detail: 'no answer' } })
  history.add(streams.run(runId), { type: 'RunPaused', data: { runId } })
  const { get } = await served(t, history)
  const url = `/v1/runs/${runId}/attention`
  const first = await get(`${url}?limit=1`)
  t.match(first, {
    paused: true,
    items: [
      { n: 0, targetName: 'web-0', stepId: 'install', attempt: 1, detail: 'a person decides', help: /resolve-step/ },
    ],
    leftOver: [{ n: 1, stepId: 'install', attempt: 1, help: /could not be confirmed/ }],
  })
  t.match((await get(`${url}?cursor=${first.next}`)).items, [{ n: 2 }])
})

type Said = { n: number; stdout: string; stderr?: string }

async function say(pool: Pool, runId: string, step: string, said: readonly Said[]): Promise<void> {
  for (const { n, stdout, stderr } of said) {
    const parts = [...(stderr ? [['stderr', stderr]] : []), ['stdout', stdout.slice(0, 3)], ['stdout', stdout.slice(3)]]
    let offset = 0
    for (const [i, [stream = '', text = '']] of parts.entries()) {
      await pool.query(
        `insert into output.run_output (run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data)
         values ($1, $2, $3, 1, 1, $4, $5, $6, '2026-01-01T00:00:00Z', $7)`,
        [runId, n, step, i + 1, stream, offset, Buffer.from(text)],
      )
      offset += text.length
    }
  }
}

t.test('outputs that are the same are shown once, with the targets that gave them', async t => {
  const history = new History()
  history.job(0)
  const runId = history.run(0, 0, [0, 1, 2, 3, 4, 5], 4)
  const { pool, get } = await served(t, history)
  const [linux, bsd] = ['Linux 6.1\n', 'FreeBSD 14\n']
  await say(pool, runId, 'first', [
    { n: 0, stdout: linux },
    { n: 1, stdout: bsd },
    { n: 2, stdout: linux, stderr: 'warning\n' },
    { n: 3, stdout: bsd },
    { n: 4, stdout: linux },
  ])
  const url = `/v1/runs/${runId}/results?step=first`
  const { items, next } = await get(`${url}&limit=2`)
  const text = (sample: string) => Buffer.from(sample, 'base64').toString()
  t.match(items, [
    { sha256: sha256Hex(linux), of: 'stdout', count: 3, succeeded: 3, truncated: false },
    { sha256: sha256Hex(bsd), count: 2, succeeded: 1, targets: [{ n: 1, targetName: 'web-1' }, { n: 3 }] },
  ])
  t.same(
    items.map((item: { sample: string }) => text(item.sample)),
    [linux, bsd],
  )
  t.same(
    items[0].targets.map((target: { n: number }) => target.n),
    [0, 2, 4],
  )
  t.match((await get(`${url}&cursor=${next}`)).items, [{ sha256: sha256Hex(''), count: 1, sample: '' }])
  const all = `/v1/runs/${runId}/results/${sha256Hex(linux)}/targets?step=first`
  const page = await get(`${all}&limit=2`)
  t.match(page.items, [{ n: 0, attempt: 1, status: 'succeeded', exitCode: 0 }, { n: 2 }])
  t.match((await get(`${all}&cursor=${page.next}`)).items, [{ n: 4 }])
  t.same((await get(`/v1/runs/${runId}/results?step=other`)).items, [])
})

t.test('large outputs are told apart by the digest they were sealed with', async t => {
  const history = new History()
  history.job(0)
  const runId = history.request(0, 0, [0, 1, 2])
  const output = (of: string) => ({ bytes: 70_000, chunks: 1, sha256: sha256Hex(of), truncated: true })
  for (const [n, of] of ['a', 'b', 'a'].entries()) {
    const target = onTarget(history, 0, n, n)
    target.claim(['big'], ['big'])
    target.start('big')
    const at = { ...target.at, stepId: 'big', attempt: 1, epoch: 1, seq: 1, at: '2026-01-01T00:00:00Z' }
    target.add({ type: 'StepSucceeded', data: { ...at, exitCode: 0, output: output(of) } })
  }
  const { get } = await served(t, history)
  t.match((await get(`/v1/runs/${runId}/results?step=big`)).items, [
    { of: 'output', sha256: sha256Hex('a'), count: 2 },
    { of: 'output', sha256: sha256Hex('b'), count: 1 },
  ])
})

t.test('what a step printed is downloaded whole or in parts, exactly as it came', async t => {
  const history = new History()
  history.job(0)
  const runId = history.request(0, 0, [0, 1])
  const text = '\x1b[31mred\x1b[0m\r\n<script>alert(1)</script>\n'
  const output = { bytes: text.length, chunks: 2, sha256: sha256Hex(text), truncated: false }
  for (const n of [0, 1]) {
    const target = onTarget(history, 0, n, n)
    target.claim(['install.2.undo'], ['install.2.undo'])
    target.start('install.2.undo')
    const at = { ...target.at, stepId: 'install.2.undo', attempt: 1, epoch: 1, seq: 1, at: '2026-01-01T00:00:00Z' }
    if (n === 0) target.add({ type: 'StepSucceeded', data: { ...at, exitCode: 0, output } })
  }
  const { pool, ask } = await served(t, history)
  await say(pool, runId, 'install.2.undo', [
    { n: 0, stdout: text },
    { n: 1, stdout: 'so far' },
  ])
  const url = `/v1/runs/${runId}/targets/0/steps/install.2.undo/attempts/1/output.raw`
  const whole = await ask(url)
  t.equal(whole.statusCode, 200)
  t.equal(whole.body, text)
  t.match(whole.headers, {
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="run-${runId}-0-install.2.undo-1.log"`,
    'content-length': String(text.length),
    'x-content-type-options': 'nosniff',
    'accept-ranges': 'bytes',
    etag: `"${sha256Hex(text)}"`,
  })
  const part = await ask(url, { range: 'bytes=2-6' })
  t.match(
    [part.statusCode, part.body, part.headers['content-range']],
    [206, text.slice(2, 7), `bytes 2-6/${text.length}`],
  )
  t.equal((await ask(url, { range: 'bytes=-3' })).body, text.slice(-3))
  const behind = await ask(url, { range: 'bytes=900-' })
  t.match([behind.statusCode, behind.headers['content-range']], [416, `bytes */${text.length}`])
  t.match(behind.json(), { type: 'urn:opsconductor:problem:range-not-satisfiable' })
  t.notMatch(behind.headers, { 'content-disposition': /./ })
  t.equal((await ask(url, { range: 'bytes=0-1', 'if-range': '"another"' })).statusCode, 200)
  t.equal((await ask(url, { range: 'bytes=0-1', 'if-range': `"${sha256Hex(text)}"` })).statusCode, 206)
  const still = await ask(url.replace('targets/0', 'targets/1'))
  t.match([still.statusCode, still.body, still.headers.etag], [200, 'so far', undefined])
  t.equal((await ask(url.replace('attempts/1', 'attempts/2'))).statusCode, 404)
  await pool.query('delete from output.run_output where n = 0 and seq = 1')
  const torn = await ask(url, { range: 'bytes=0-1' })
  t.match([torn.statusCode, torn.body, torn.headers['x-output-gaps']], [200, text.slice(3), '0-3'])
  t.equal(torn.headers['accept-ranges'], 'none')
})

type Plan = { 'Node Type': string; 'Relation Name'?: string; Plans?: Plan[] }
const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)]

t.test('the page of a run on 10,000 targets is a handful of index lookups', async t => {
  const history = new History()
  history.job(0)
  history.run(0, 0, [0, 1, 2])
  const runId = history.request(
    1,
    0,
    Array.from({ length: 10_000 }, (_, n) => n),
  )
  for (let n = 0; n < 400; n += 1) history.targetRun(1, n, n, n % 5 === 0 ? 1 : 0)
  const { model, pool, get } = await served(t, history)
  t.match(await get(`/v1/runs/${runId}`), {
    targets: 10_000,
    progress: { percent: 4, counts: { queued: 9_600, succeeded: 320, failed: 80 } },
  })
  const { rows } = await model.pool.query('select requested_commit from read_model.run where run_id = $1', [runId])
  const commit = rows[0].requested_commit
  const connection = await pool.connect()
  t.teardown(() => connection.release())
  await connection.query('begin')
  // Small tables are scanned when that is possible at all; here it must not be the only way.
  await connection.query('set local enable_seqscan = off')
  for (const [sql, values, tables] of [
    [ITEM, [runId], ['run', 'run_request']],
    [GATES, [runId], ['run_gate']],
    [MEDIAN, [ids.job(0), commit], ['run', 'target_run']],
  ] as const) {
    const explained = await connection.query(`explain (format json) ${sql}`, [...values])
    const all = nodes(explained.rows[0]['QUERY PLAN'][0].Plan)
    t.same(
      all.filter(node => node['Node Type'] === 'Seq Scan'),
      [],
      'nothing is read from end to end',
    )
    t.same([...new Set(all.flatMap(node => node['Relation Name'] ?? []))].sort(), tables)
  }
  await connection.query('rollback')
})

t.test('a run that no enrolled executor may take says so', async t => {
  const history = new History()
  history.job(0)
  const initiator = { kind: 'api-key', id: 'ada' } as const
  const chosen = { jobId: ids.job(0), jobVersion: 1, jobName: 'job-0', selection: { labels: 'env=prod' } }
  const request = (n: number, more: object = {}) => {
    const data = { runId: ids.run(n), ...chosen, targets: 1, initiator, ...more }
    history.add(streams.run(ids.run(n)), { type: 'RunRequested', data })
    history.add(streams.run(ids.run(n)), {
      type: 'TargetsResolved',
      data: { runId: ids.run(n), from: 0, targetIds: [ids.target(0)] },
    })
  }
  request(0)
  request(1, { executors: 'site=east' })
  request(2, { executors: 'site=west,!spare' })
  request(3, { pool: 'lab' })
  history.run(4, 0, [0])
  const enrol = (executorId: string, pool: string, labels: Record<string, string>) => {
    const program = { publicKey: 'k'.repeat(43), version: '0.1.0', protocol: 1, tokenHash: 'ab'.repeat(32) }
    const token = { executorId, pool, labels, tokenHash: program.tokenHash, expiresAt: '2027-01-01T00:00:00.000Z' }
    history.add(streams.executor(executorId), { type: 'EnrolmentTokenIssued', data: token })
    if (pool === 'lab') return
    history.add(streams.executor(executorId), {
      type: 'ExecutorEnrolled',
      data: { executorId, pool, labels, ...program },
    })
  }
  enrol('east-1', 'default', { site: 'east' })
  enrol('west-1', 'default', { site: 'west', spare: '1' })
  enrol('lab-1', 'lab', {})
  const { get, model } = await served(t, history)
  const why = async (n: number) => (await get(`/v1/runs/${ids.run(n)}`)).noExecutor
  t.same([await why(0), await why(1)], [null, null])
  t.equal(
    await why(2),
    'no executor matches: none with the labels site=west,!spare is enrolled in the pool default and not draining',
  )
  t.match(await why(3), /none is enrolled in the pool lab/, 'one that was only invited is none')
  t.equal(await why(4), null, 'what is over needs nobody')
  t.match(await get(`/v1/runs/${ids.run(2)}`), { executors: 'site=west,!spare' })
  const before = history.events.length
  history.add(streams.executor('east-1'), { type: 'ExecutorDrained', data: { executorId: 'east-1' } })
  await model.project(history.events.slice(before))
  t.match(await why(1), /no executor matches/)
})
