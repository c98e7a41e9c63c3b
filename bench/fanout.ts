import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { type Sshd, startSshd } from '../test/support/sshd.ts'
import { type Emit, measurement } from './measurement.ts'
import { benchApi } from './support/api.ts'
import { bareSsh } from './support/bare-ssh.ts'
import { totalCpuSeconds, totalMegabytes, type Usage, usageBelow } from './support/memory.ts'
import { needClients, sshClients, type Timed } from './support/ssh-clients.ts'
import { type BenchSystem, benchSystem, ending } from './support/system.ts'

const SIZES = [100, 500]
const RUNS = 3
/** Until the executor knows that all its connections were closed. */
const NOTICED_MS = 1_000

type Ours = Timed & { megabytes: number }

/**
 * `hostname` on many loopback addresses through the whole system, every event recorded, beside `clush -f 64`,
 * `xargs -P64 ssh` and `ansible -f 50` on the same servers in turn. First: the first run of a system that has just
 * started. Cold: a later one with no connection open. Warm: over the connections of the run before.
 */
export async function run(emit: Emit): Promise<void> {
  needClients()
  for (const size of SIZES) {
    const t = ending()
    try {
      await fanout(emit, size, t)
    } finally {
      await t.end()
    }
  }
}

async function fanout(emit: Emit, size: number, t: ReturnType<typeof ending>): Promise<void> {
  const hosts = Array.from({ length: size }, (_, i) => `127.0.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`)
  const sshd = await startSshd(t, { addresses: hosts })
  const sockets = mkdtempSync(path.join(tmpdir(), 'opsc-cp-'))
  t.teardown(() => rmSync(sockets, { recursive: true, force: true }))
  const peers = sshClients(sshd, sockets)
  const system = await benchSystem(t)
  const run = await ours(system, hosts, sshd)
  const first = [await run('first')]
  const cold = { ours: [] as Ours[], clush: [] as Timed[], xargs: [] as Timed[] }
  const warm = { ours: [] as Ours[], clush: [] as Timed[] }
  for (let round = 0; round < RUNS; round++) {
    sshd.killSessions()
    await after(NOTICED_MS)
    cold.ours.push(await run('cold'))
    warm.ours.push(await run('warm'))
    cold.clush.push(peers.clush(hosts))
    cold.xargs.push(peers.xargs(hosts))
    peers.clushPersistent(hosts)
    warm.clush.push(peers.clushPersistent(hosts))
    peers.closePersistent(hosts)
  }
  report(emit, size, first, cold, warm)
  await leastPossible(emit, size, sshd, hosts, warm.clush)
  const slower = { raw: peers.ansible(hosts, 'raw'), command: peers.ansible(hosts, 'command') }
  const seconds = cold.ours.map(r => r.milliseconds / 1000)
  for (const [module, { milliseconds }] of Object.entries(slower))
    emit(measurement(`fanout.${size}.cold-beside-ansible-${module}`, 's', seconds, milliseconds / 1000))
}

/** How fast a warm run could be at most, beside the same peer. */
async function leastPossible(emit: Emit, size: number, sshd: Sshd, hosts: string[], clush: Timed[]): Promise<void> {
  const bare = await bareSsh(sshd, hosts)
  const seconds: number[] = []
  for (let round = 0; round < RUNS; round++) seconds.push((await bare.hostname()) / 1000)
  bare.end()
  const peer = measurement(
    '',
    '',
    clush.map(r => r.milliseconds / 1000),
  ).value
  emit(measurement(`fanout.${size}.warm-library-alone`, 's', seconds, peer))
}

async function ours(system: BenchSystem, hosts: string[], sshd: Sshd) {
  const api = benchApi(system)
  const secret = { kind: 'ssh-key', privateKey: sshd.privateKey }
  const credential = await api.command('create-credential', { name: 'fleet', username: sshd.username, secret })
  const common = {
    port: sshd.port,
    hostKey: sshd.hostKey,
    hostKeyPolicy: 'pinned',
    credentialId: credential.id,
    tags: { fleet: '' },
  }
  await api.bulk(
    'create-target',
    hosts.map(address => ({ name: address, address, ...common })),
  )
  const steps = [{ id: 'hostname', uses: 'ssh.command', with: { command: 'hostname' } }]
  const job = await api.command('define-job', { name: 'hostname', steps, selection: { labels: 'fleet' } })
  const once = async (label: string): Promise<Ours> => {
    const before = usageBelow(system.pid)
    const { milliseconds, succeeded, status } = await api.run(job.id)
    if (succeeded !== hosts.length) throw new Error(`${succeeded} of ${hosts.length} succeeded: ${status}`)
    const usage = usageBelow(system.pid)
    console.error(`  ${label}: ${spent(before, usage)}`)
    return {
      milliseconds,
      ok: succeeded,
      cpuSeconds: totalCpuSeconds(usage) - totalCpuSeconds(before),
      megabytes: totalMegabytes(usage),
    }
  }
  return once
}

/** CPU seconds of each kind of process, most first. */
function spent(before: Usage[], now: Usage[]): string {
  const byName = new Map<string, number>()
  for (const { name, pid, cpuSeconds } of now) {
    const earlier = before.find(each => each.pid === pid)?.cpuSeconds ?? 0
    byName.set(name, (byName.get(name) ?? 0) + cpuSeconds - earlier)
  }
  const most = [...byName].sort(([, a], [, b]) => b - a).filter(([, seconds]) => seconds >= 0.1)
  return most.map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`).join(', ')
}

type Rounds = { ours: Ours[]; clush: Timed[]; xargs?: Timed[] }

function report(emit: Emit, size: number, first: Ours[], cold: Rounds, warm: Rounds): void {
  const seconds = (rounds: Timed[]) => rounds.map(r => r.milliseconds / 1000)
  const cpu = (rounds: Timed[]) => rounds.map(r => r.cpuSeconds)
  const middle = (values: number[]) => measurement('', '', values).value
  const name = (rest: string) => `fanout.${size}.${rest}`
  emit(measurement(name('first'), 's', seconds(first), middle(seconds(cold.clush))))
  emit(measurement(name('cold'), 's', seconds(cold.ours), middle(seconds(cold.clush))))
  emit(measurement(name('cold-beside-xargs'), 's', seconds(cold.ours), middle(seconds(cold.xargs ?? []))))
  emit(measurement(name('cold-cpu'), 's', cpu(cold.ours), middle(cpu(cold.clush))))
  emit(measurement(name('warm'), 's', seconds(warm.ours), middle(seconds(warm.clush))))
  emit(measurement(name('warm-cpu'), 's', cpu(warm.ours), middle(cpu(warm.clush))))
  emit(
    measurement(
      name('memory'),
      'MB',
      warm.ours.map(r => r.megabytes),
    ),
  )
}
