import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { programOrSkip } from '../support/packages.ts'
import { isAlive } from '../support/process-tree.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { startSystem } from '../support/system.ts'
import { clientOf, command, type SystemClient } from '../support/system-client.ts'

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

/** A port nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
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
      ['refused', place('refused', { port: await closedPort() })],
      // Nothing routes a connection to the broadcast address.
      ['unreachable', place('unreachable', { address: '255.255.255.255' })],
      ['host-key-mismatch', place('another', { hostKey: stranger.hostKey })],
      ['auth-failed', api.target('wrong-key', { port: sshd.port, credentialId: wrongKey })],
    ]
    const jobId = await api.job([command('echo never')])
    await Promise.all(
      cases.map(async ([failure, targetId]) => {
        const { run, target: detail } = await api.ended(await api.trigger(jobId, [await targetId]))
        t.match(run, { status: 'failed' }, failure)
        t.match(detail, { status: 'failed', failure, steps: [] })
        t.ok(detail.detail, `${failure}: ${detail.detail}`)
      }),
    )
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
    const pinned = { targetId, hostKey: sshd.hostKey }
    await api.http.command('pin-host-key', pinned)
    t.equal((await api.ended(await api.run([command('true')], [targetId]))).run.status, 'succeeded')
  })

  await t.test('a command that is not there, one that fails, one that takes too long', async t => {
    const targetId = await target()
    const missing = await api.ended(await api.run([command('no-such-command')], [targetId]))
    t.match(missing.target, { failure: 'command-not-found', steps: [{ exitCode: 127 }] })
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
  })

  await t.test('a connection that breaks in mid-command needs a person, unless the step may be repeated', async t => {
    const once = path.join(folder, 'once')
    const targetId = await target()
    const plain = await api.run([command('echo on; sleep 300')], [targetId])
    await api.follow(plain, () => sshd.killSessions())
    const lost = await api.ended(plain)
    t.match(lost, { run: { status: 'needs-attention' }, target: { status: 'needs-attention' } })
    t.match(lost.target.steps, [{ status: 'unknown' }])
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

  await t.test('what is asked for wrongly is refused with its own problem', async t => {
    const targetId = await target()
    const jobId = await api.job([command('true')])
    const refusal = (name: string, body: object) =>
      api.http.command(name, body).then(
        () => 'accepted',
        error => error.problem?.type?.replace('urn:opsconductor:problem:', '') ?? String(error),
      )
    const nobody = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
    t.equal(await refusal('trigger-run', { jobId, selection: { targetIds: [nobody] } }), 'target-not-found')
    t.equal(await refusal('trigger-run', { jobId: nobody, selection: { targetIds: [targetId] } }), 'job-not-found')
    t.equal(await refusal('trigger-run', { jobId, selection: { labels: 'env=nowhere' } }), 'empty-selection')
    t.equal(await refusal('trigger-run', { jobId, selection: { targetIds: [targetId] }, odd: 1 }), 'invalid-input')
    await api.http.command('disable-job', { jobId, reason: 'review' })
    t.equal(await refusal('trigger-run', { jobId, selection: { targetIds: [targetId] } }), 'job-disabled')
    t.equal(await refusal('cancel-run', { runId: nobody }), 'run-not-found')
    await api.http.command('decommission-target', { targetId, reason: 'gone' })
    t.equal(await refusal('rename-target', { targetId, name: 'x' }), 'target-decommissioned')
    t.equal(await refusal('no-such-command', {}), 'unknown-command')
  })
})
