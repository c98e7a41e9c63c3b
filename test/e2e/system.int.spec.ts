import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../support/free-port.ts'
import { programOrSkip } from '../support/packages.ts'
import { until } from '../support/process.ts'
import { isAlive } from '../support/process-tree.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { startSystem } from '../support/system.ts'
import { clientOf, command, type Detail, type SystemClient } from '../support/system-client.ts'

type World = { api: SystemClient; sshd: Sshd; credentialId: string; target: () => Promise<string>; folder: string }
let targets = 0

async function world(t: Test): Promise<World> {
  const system = startSystem(t, { env: { OPSCONDUCTOR_LEASE_SECONDS: '5' } })
  const [api, sshd] = await Promise.all([clientOf(system), startSshd(t)])
  const credentialId = await api.credential(sshd.privateKey, sshd.username)
  const target = () => {
    targets += 1
    return api.target(`web-${targets}`, { port: sshd.port, credentialId })
  }
  return { api, sshd, credentialId, target, folder: t.testdir() }
}

type Told = { type: string; position: string; reasonCode: string | null; outcome: string; resource: { id: string } }

/** What the audit trail tells, once it holds a record that `last` accepts. */
async function history(api: SystemClient, filter: Record<string, string>, last: (record: Told) => boolean) {
  let records: Told[] = []
  await until('the audit trail tells of it', async () => {
    records = await api.http.list<Told>('/v1/audit', { sort: 'position', ...filter })
    return records.some(last)
  })
  return records
}

t.test('the system, from outside', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { api, sshd, credentialId, target, folder } = await world(t)

  await t.test('a run over SSH is seen live, and told afterwards', async t => {
    const go = path.join(folder, 'go')
    const jobId = await api.job([
      command(`echo begun; while ! [ -e ${go} ]; do sleep 0.05; done; echo ended`),
      command('echo again >&2', 'again'),
    ])
    const runId = await api.trigger(jobId, [await target(), await target(), await target()])
    const printed = new Map<number, string>()
    const events = await api.follow(runId, (text, n) => {
      printed.set(n, (printed.get(n) ?? '') + text)
      // Each goes on only because what it printed was seen while it ran.
      if ([...printed.values()].filter(seen => seen.startsWith('begun')).length === 3) writeFileSync(go, '')
    })
    t.same([...printed.values()], Array(3).fill('begun\nended\nagain\n'))
    const types = events.filter(e => e.event === 'event').map(e => (JSON.parse(e.data) as { type: string }).type)
    t.equal(types[0], 'RunRequested')
    t.equal(types.at(-1), 'RunSucceeded')
    t.equal(types.filter(type => type === 'StepSucceeded').length, 6)
    t.match(await api.http.get(`/v1/runs/${runId}`), {
      status: 'succeeded',
      counts: { succeeded: 3, failed: 0, queued: 0, running: 0 },
    })
    t.match(await api.http.get(`/v1/runs/${runId}/target-runs/1`), {
      status: 'succeeded',
      steps: [
        { stepId: 'do', exitCode: 0, outputBytes: 12 },
        { stepId: 'again', exitCode: 0, outputBytes: 6 },
      ],
    })
    const stored = await api.http.get<{ items: Array<{ data: string }> }>(`/v1/runs/${runId}/output`, {
      n: '0',
      step: 'do',
    })
    t.equal(stored.items.map(item => Buffer.from(item.data, 'base64').toString()).join(''), 'begun\nended\n')
    const audit = await api.http.list<{ type: string }>('/v1/audit', { resourceId: runId })
    const told = ['RunRequested', 'TargetsResolved', 'RunStarted', 'RunSucceeded']
    t.same(
      told.filter(type => audit.some(record => record.type === type)),
      told,
    )
  })

  await t.test('a cancelled run leaves nothing running on the machine', async t => {
    const pids = path.join(folder, 'pids')
    const nested = `sh -c 'echo $$ >> ${pids}; sleep 300 & echo $! >> ${pids}; wait' & echo $! $$ >> ${pids}; echo on; wait`
    const runId = await api.run([command(nested), command('echo never', 'never')], [await target()])
    let asked = false
    await api.follow(runId, () => {
      if (asked) return
      asked = true
      void api.http.command('cancel-run', { runId, reason: 'wrong target' })
    })
    const { run, target: detail } = await api.ended(runId)
    t.match(run, { status: 'cancelled', counts: { cancelled: 1 } })
    t.match(detail, { status: 'cancelled', steps: [{ stepId: 'do', status: 'cancelled' }] })
    const seen = readFileSync(pids, 'utf8').split(/\s+/).filter(Boolean).map(Number)
    t.ok(seen.length >= 3, `${seen.length} processes were started`)
    t.same(seen.filter(isAlive), [])
  })

  await t.test('what cannot be reached, or must not be, is told for what it is', async t => {
    const place = async (name: string, at: { address?: string; port?: number; hostKey?: string; key?: string }) =>
      api.target(name, { port: sshd.port, credentialId, ...at })
    const stranger = await startSshd(t)
    const wrongKey = await api.credential(stranger.privateKey, sshd.username)
    const cases: Array<[string, Promise<string>]> = [
      ['dns', place('no-name', { address: 'no-such-host.invalid' })],
      ['refused', place('refused', { port: await freePort() })],
      // Nothing routes a connection to the broadcast address.
      ['unreachable', place('unreachable', { address: '255.255.255.255' })],
      ['host-key-mismatch', place('another', { hostKey: stranger.hostKey })],
      ['auth-failed', api.target('wrong-key', { port: sshd.port, credentialId: wrongKey })],
    ]
    const jobId = await api.job([command('echo reached')])
    const targetIds = await Promise.all([...cases.map(([, targetId]) => targetId), target()])
    const runId = await api.trigger(jobId, targetIds)
    const { run } = await api.ended(runId)
    const counts = { succeeded: 1, failed: cases.length }
    t.match(run, { status: 'partially-succeeded', counts }, 'the one that can be reached is none the worse')
    const told = await history(api, { runId }, ({ type }) => type === 'RunPartiallySucceeded')
    for (const [n, [failure]] of cases.entries()) {
      const detail = await api.http.get<Detail>(`/v1/runs/${runId}/target-runs/${n}`)
      t.match(detail, { status: 'failed', failure, detail: /./, steps: [] }, failure)
      const of = told.filter(({ resource }) => resource.id === `${runId}.${n}`)
      t.match(of.at(-1), { type: 'TargetRunFailed', reasonCode: failure, outcome: 'failure' }, `${failure} is history`)
      t.notOk(of.some(({ type }) => type === 'StepStarted'))
    }
    const [, refused = ''] = targetIds
    await api.http.command('change-target-address', { targetId: refused, address: '127.0.0.1', port: sshd.port })
    const again = await api.ended(await api.trigger(jobId, [refused]))
    t.equal(again.run.status, 'succeeded', 'put right, it works')
  })

  await t.test('a host key that changed is refused before any secret is sent', async t => {
    const targetId = await target()
    t.equal((await api.ended(await api.run([command('true')], [targetId]))).run.status, 'succeeded')
    t.match(await api.http.get(`/v1/targets/${targetId}`), { hostKey: sshd.hostKey, hostKeySource: 'observed' })
    await sshd.restart({ newHostKeys: true })
    const logins = sshd.log().match(/Accepted publickey/g)?.length
    const { target: detail } = await api.ended(await api.run([command('true')], [targetId]))
    t.match(detail, { status: 'failed', failure: 'host-key-mismatch' })
    t.equal(sshd.log().match(/Accepted publickey/g)?.length, logins)
    const told = await history(api, { resourceId: targetId }, ({ type }) => type === 'HostKeyMismatchDetected')
    const at = told.find(({ type }) => type === 'HostKeyMismatchDetected')?.position
    const { data } = await api.http.get<{ data: object }>(`/v1/audit/${at}`)
    t.match(data, { expected: /^ssh-ed25519 /, presented: sshd.hostKey })
    const pinned = { targetId, hostKey: sshd.hostKey }
    await api.http.command('pin-host-key', pinned)
    t.equal((await api.ended(await api.run([command('true')], [targetId]))).run.status, 'succeeded')
  })

  await t.test('a command that is not there, one that fails, one that takes too long', async t => {
    const targetId = await target()
    const missing = await api.ended(await api.run([command('no-such-command')], [targetId]))
    t.match(missing.target, { failure: 'command-not-found', steps: [{ exitCode: 127 }] })
    const { runId } = missing.run
    const told = await history(api, { runId }, ({ type }) => type === 'RunFailed')
    t.match(
      told.filter(({ type }) => type === 'StepFailed' || type === 'TargetRunFailed'),
      [{ reasonCode: 'command-not-found' }, { reasonCode: 'command-not-found' }],
    )
    const failed = await api.ended(await api.run([command('exit 3'), command('true', 'next')], [targetId]))
    t.match(failed.target, { failure: 'exit-nonzero', steps: [{ stepId: 'do', exitCode: 3 }, { status: 'skipped' }] })
    const file = path.join(folder, 'slow')
    const slow = command(`echo $$ > ${file}; sleep 300`, 'do', { timeoutSeconds: 1 })
    const late = await api.ended(await api.run([slow], [targetId]))
    t.match(late.target, { failure: 'timed-out' })
    t.notOk(isAlive(Number(readFileSync(file, 'utf8'))))
  })

  await t.test('a flood of output is kept, or cut as declared, and nothing breaks', async t => {
    const targetId = await target()
    const bytes = 24_000_000
    const runId = await api.run([command(`head -c ${bytes} /dev/zero | tr '\\0' x; echo; echo err >&2`)], [targetId])
    let seen = 0
    await api.follow(runId, text => {
      seen += text.length
    })
    const { target: detail } = await api.ended(runId)
    t.equal(detail.status, 'succeeded')
    t.equal(detail.steps[0]?.outputBytes, bytes + 5)
    t.equal(seen, bytes + 5, 'all of it was seen live')
    const told = await history(api, { runId }, ({ type }) => type === 'RunSucceeded')
    t.notOk(told.some(({ type }) => type === 'OutputGapDetected'))
    const at = told.find(({ type }) => type === 'OutputSealed')?.position
    const { data } = await api.http.get<{ data: object }>(`/v1/audit/${at}`)
    t.match(data, { bytes: bytes + 5, truncated: false, sha256: /^[0-9a-f]{64}$/ })
    const end = { n: '0', step: 'do', stream: 'stdout', from: String(bytes - 5) }
    const stored = await api.http.get<{ items: Array<{ data: string }> }>(`/v1/runs/${runId}/output`, end)
    t.equal(stored.items.map(item => Buffer.from(item.data, 'base64').toString()).join(''), 'xxxxx\n')
  })

  await t.test('a connection that breaks in mid-command needs a person, unless the step may be repeated', async t => {
    const once = path.join(folder, 'once')
    const targetId = await target()
    const plain = await api.run([command('echo on; sleep 300')], [targetId])
    for await (const { event, data } of api.http.events(`/v1/runs/${plain}/events`)) {
      if (event === 'output') sshd.killSessions()
      else if (event === 'event' && JSON.parse(data).type === 'RunNeedsAttention') break
    }
    const lost = await api.http.get<Detail>(`/v1/runs/${plain}/target-runs/0`)
    t.match(lost, { status: 'needs-attention', steps: [{ status: 'unknown' }] })
    t.match(await api.http.get(`/v1/runs/${plain}`), { status: 'needs-attention' })
    const told = await history(api, { runId: plain }, ({ type }) => type === 'RunNeedsAttention')
    const lines = told.map(({ type }) => type).filter(type => /^(Step|TargetRun|Run)/.test(type))
    t.same(lines.slice(-3), ['StepOutcomeUnknown', 'TargetRunNeedsAttention', 'RunNeedsAttention'])
    const kept = await api.http.get<{ items: Array<{ data: string }> }>(`/v1/runs/${plain}/output`, {
      n: '0',
      step: 'do',
    })
    t.equal(Buffer.from(kept.items[0]?.data ?? '', 'base64').toString(), 'on\n', 'what it had printed is kept')
    const again = `if [ -e ${once} ]; then echo second; else touch ${once}; echo first; sleep 300; fi`
    const repeated = await api.run([command(again, 'do', { idempotent: true })], [targetId])
    await api.follow(repeated, text => {
      if (text.startsWith('first')) sshd.killSessions()
    })
    const { run, target: detail } = await api.ended(repeated)
    t.equal(run.status, 'succeeded')
    t.match(detail.steps, [
      { attempt: 1, status: 'unknown' },
      { attempt: 2, status: 'succeeded' },
    ])
  })

  await t.test('what is asked for wrongly is refused with its own problem, and is history', async t => {
    const targetId = await target()
    const jobId = await api.job([command('true')])
    const revoked = await api.credential(sshd.privateKey, sshd.username)
    await api.http.command('revoke-credential', { credentialId: revoked, reason: 'leaked' })
    const locked = await api.target('locked', { port: sshd.port, credentialId: revoked })
    const selection = { targetIds: [targetId] }
    const nobody = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
    const refusal = (name: string, body: object) =>
      api.http.command(name, body).then(
        () => ({ code: 'accepted', correlationId: '' }),
        ({ problem }) => ({ code: problem?.type?.split(':').at(-1), correlationId: problem?.correlationId }),
      )
    const refused = async (code: string, name: string, body: object) => {
      const answer = await refusal(name, body)
      t.equal(answer.code, code, name)
      const [told] = await history(
        api,
        { correlationId: answer.correlationId },
        ({ type }) => type === 'CommandRejected',
      )
      t.match(told, { type: 'CommandReceived' }, 'the command line sends a key with every command')
      const records = await api.http.list('/v1/audit', { correlationId: answer.correlationId })
      t.match(records[0], { type: 'CommandRejected', reasonCode: code, outcome: 'failure', actor: { kind: 'api-key' } })
      t.equal(records.length, 2, `${code}: nothing else happened`)
    }
    await refused('target-already-exists', 'create-target', { targetId, name: 'x', address: 'x' })
    await refused('target-not-found', 'rename-target', { targetId: nobody, name: 'x' })
    await refused('target-not-found', 'trigger-run', { jobId, selection: { targetIds: [nobody] } })
    await refused('job-not-found', 'trigger-run', { jobId: nobody, selection })
    await refused('empty-selection', 'trigger-run', { jobId, selection: { labels: 'env=nowhere' } })
    await refused('credential-revoked', 'trigger-run', { jobId, selection: { targetIds: [locked] } })
    await refused('run-not-found', 'cancel-run', { runId: nobody })
    await api.http.command('disable-job', { jobId, reason: 'review' })
    await refused('job-disabled', 'trigger-run', { jobId, selection })
    await api.http.command('decommission-target', { targetId, reason: 'gone' })
    await refused('target-decommissioned', 'rename-target', { targetId, name: 'x' })
    await api.http.command('enable-job', { jobId })
    await refused('target-decommissioned', 'trigger-run', { jobId, selection })
    t.match(await refusal('trigger-run', { jobId, selection, odd: 1 }), { code: 'invalid-input' })
    t.match(await refusal('no-such-command', {}), { code: 'unknown-command' })
    t.same(await api.http.list('/v1/runs', { jobId }), [], 'no run came of any of it')
  })
})
