import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createClient } from '../../cli/client.ts'
import { keyedCommandId } from '../../command-api/command-record.ts'
import { type Deployment, deploy, executors } from '../support/deployment.ts'
import { ProxyLine } from '../support/proxy.ts'
import { startSshd } from '../support/sshd.ts'
import { SystemClient } from '../support/system-client.ts'
import { type Absence, absences } from './absences.ts'
import { Client } from './client.ts'
import { ClientLedger, type Known } from './client-ledger.ts'
import { mountDisk } from './disks.ts'
import { type Effect, readEffects } from './effects.ts'
import { type Disk, type Fault, possibleFaults } from './faults.ts'
import { brokenCommands, brokenLog, brokenOutput, endings, readLog } from './judge.ts'
import { brokenSteps } from './judge-steps.ts'
import { load, type StartedRun } from './load.ts'
import { LogWatch } from './log-watch.ts'
import { type Kill, nemesis } from './nemesis.ts'
import { lookAfter } from './person.ts'
import { Random } from './random.ts'
import { type Incident, type Recovery, recovery } from './recovery.ts'

export type CrashTestOptions = {
  kills: number
  seed: number
  /** How long something stays down, or a disk full. */
  outageSeconds: number
  /** How often each kind of fault comes. */
  rounds: number
  /** Where to leave what the processes printed and the events of stuck runs. */
  keep?: string
  say(line: string): void
}
export type Verdict = {
  kills: readonly Kill[]
  faults: readonly Fault[]
  missed: readonly string[]
  diskFaults: boolean
  commands: Map<Known['outcome'], number>
  runs: Map<string, number>
  /** How often what makes runs difficult happened in them. */
  turns: Map<string, number>
  effects: number
  events: number
  seconds: number
  /** From the last kill to the end of the last run. */
  settledAfter: number
  recovery: Recovery
  lost: string[]
  doubled: string[]
  stuck: string[]
  log: string[]
  output: string[]
  rebuild: string
  rebuiltEqual: boolean
}

const LEASE_SECONDS = 3
const SETTLE_MS = (LEASE_SECONDS + 60) * 1_000
const EVENT_STORE_MB = 1_024
const SPOOL_MB = 64
const ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6']
const TURNS: ReadonlySet<string> = new Set([
  ...['StepRetryScheduled', 'StepWaitStarted', 'CompensationStarted', 'RunPaused', 'StepOutcomeUnknown', 'StepChecked'],
  ...['TargetRunNeedsAttention', 'StepResolved', 'LeaseExpired', 'TargetRunHandedBack', 'ReportRejectedStaleEpoch'],
])
const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))

type Teardown = { teardown(fn: () => unknown): unknown }

/** Kills and harms processes at work, and afterwards compares what they say with what others wrote down. */
export async function crashTest(options: CrashTestOptions): Promise<Verdict> {
  const ends: Array<() => unknown> = []
  const t = { teardown: (end: () => unknown) => ends.push(end) }
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-crash-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  try {
    return await inFolder(t, folder, options)
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

async function inFolder(t: Teardown, folder: string, options: CrashTestOptions): Promise<Verdict> {
  const { kills, seed, outageSeconds, rounds, say } = options
  const begun = performance.now()
  const random = new Random(seed)
  const disks = mountDisks(t, folder)
  const folderOf = (name: Disk) => path.join(folder, 'disks', name)
  const deployment = await deploy(t, {
    ...{ folder, logs: options.keep ?? path.join(folder, 'logs'), lines: true },
    env: { OPSCONDUCTOR_LEASE_SECONDS: String(LEASE_SECONDS) },
    ...{ executorFolder: folderOf, eventStoreFolder: folderOf('event-store') },
  })
  const { targetIds, ssh } = await targets(t, deployment)
  const watch = new LogWatch(deployment.eventStoreUrl)
  t.teardown(() => watch.stop())
  const ledger = new ClientLedger(path.join(folder, 'commands'))
  const effectsFile = path.join(folder, 'effects')
  const { url, apiKey } = deployment
  const client = () => new Client({ url, apiKey, ledger, random: random.fork() })
  say(`ready after ${seconds(begun)} s; ${kills} kills with seed ${seed}`)

  const runs: StartedRun[] = []
  const [loaded, settled] = [new AbortController(), new AbortController()]
  const shared = { effectsFile, runs, targetIds, openRuns: () => watch.open.size }
  const loading = load({ ...shared, client: client(), random: random.fork(), signal: loaded.signal }, runs)
  const person = lookAfter({ ...shared, client: client(), random: random.fork(), signal: settled.signal })
  const done = { kills: [] as Kill[], faults: [] as Fault[], missed: [] as string[] }
  const faultsOver: Incident[] = []
  const harmed: Absence[] = []
  const possible = possibleFaults(disks)
  await nemesis({
    kills,
    scene: {
      deployment,
      watch,
      ssh,
      effectsFile,
      random: random.fork(),
      leaseSeconds: LEASE_SECONDS,
      outageSeconds,
      disks,
      onHarmed: (who, period) => harmed.push({ ...period, who }),
    },
    faults: Array.from({ length: rounds }, () => random.some(possible, possible.length)).flat(),
    onKill: kill => {
      done.kills.push(kill)
      say(
        `${String(done.kills.length).padStart(4)}  ${kill.victim}${kill.point ? ` at ${kill.point}` : ''}, ready after ${kill.readyAfterMs} ms`,
      )
    },
    onFault: fault => {
      done.faults.push(fault)
      say(`      ${fault}`)
    },
    onFaultOver: fault => faultsOver.push({ what: fault, at: Date.now() }),
    onMiss: point => {
      done.missed.push(point)
      say(`      (not reached: ${point})`)
    },
  })
  const lastKill = performance.now()
  loaded.abort()
  await loading
  await settle(deployment)
  const settledAfter = seconds(lastKill)
  settled.abort()
  await person
  const verdict = await judge(deployment, {
    ...{ known: ledger.read(), effects: readEffects(effectsFile), runs, done, settledAfter },
    ...{ rebuild: await rebuildProjections(deployment, folder), seconds: seconds(begun), diskFaults: disks.size > 0 },
    ...{ acks: ledger.acks, faultsOver, absences: [...harmed, ...absences(deployment, ssh)] },
  })
  if (options.keep) await keepEvents(deployment, verdict.stuck, options.keep)
  return verdict
}

function mountDisks(t: Teardown, folder: string): Map<Disk, string> {
  const wanted: Disk[] = ['event-store', ...executors]
  const mounted = wanted.filter(name =>
    mountDisk(t, path.join(folder, 'disks', name), name === 'event-store' ? EVENT_STORE_MB : SPOOL_MB),
  )
  // All or nothing: who may mount one may mount the others.
  if (mounted.length < wanted.length) return new Map()
  return new Map(wanted.map(name => [name, path.join(folder, 'disks', name)]))
}

/** Real servers, each behind a line that can be held up. */
async function targets(t: Teardown, { url, apiKey }: Deployment) {
  const sshd = await startSshd(t as Parameters<typeof startSshd>[0], { addresses: ADDRESSES })
  const api = new SystemClient(createClient(url, apiKey))
  const credentialId = await api.credential(sshd.privateKey, sshd.username)
  const ssh = new Map<string, ProxyLine>()
  const targetIds: string[] = []
  for (const address of ADDRESSES) {
    const line = await ProxyLine.start(t, {
      to: () => ({ host: address, port: sshd.port }),
      on: { host: address, port: 0 },
    })
    ssh.set(address, line)
    targetIds.push(await api.target(address, { address, port: line.port, credentialId }))
  }
  return { ssh, targetIds }
}

type Evidence = {
  known: Map<string, Known>
  acks: readonly number[]
  faultsOver: readonly Incident[]
  absences: readonly Absence[]
  effects: Effect[]
  runs: StartedRun[]
  done: Pick<Verdict, 'kills' | 'faults' | 'missed'>
  rebuild: Pick<Verdict, 'rebuild' | 'rebuiltEqual'>
  settledAfter: number
  seconds: number
  diskFaults: boolean
}

async function judge(deployment: Deployment, evidence: Evidence): Promise<Verdict> {
  const { known, effects, runs, done, rebuild, settledAfter, acks, faultsOver, absences, diskFaults } = evidence
  const log = await readLog(deployment.eventStoreUrl)
  const ended = endings(log)
  const principal = { actor: { kind: 'api-key' as const, id: deployment.apiKeyId } }
  return {
    ...{ ...done, ...rebuild, settledAfter, diskFaults, seconds: evidence.seconds },
    commands: tally([...known.values()].map(each => each.outcome)),
    runs: tally([...ended.values()].map(type => type?.replace(/^Run/, '') ?? 'Stuck')),
    turns: tally(log.flatMap(({ type }) => (TURNS.has(type) ? [type] : []))),
    ...{ effects: effects.length, events: log.length },
    recovery: recovery({ kills: done.kills, faults: faultsOver, absences, acks, effects, log }),
    lost: brokenCommands(log, known, key => keyedCommandId(principal, key)),
    doubled: brokenSteps(log, effects, runs),
    stuck: [...ended].filter(([, type]) => type === undefined).map(([runId]) => runId),
    log: brokenLog(log),
    output: await brokenOutput(log, deployment.postgresUrl),
  }
}

async function keepEvents({ eventStoreUrl }: Deployment, runIds: readonly string[], folder: string): Promise<void> {
  const log = await readLog(eventStoreUrl)
  for (const runId of runIds) {
    const lines = log.flatMap(({ stream, type, data, recordedAt }) =>
      stream.includes(runId) ? `${recordedAt} ${stream} ${type} ${JSON.stringify(data)}\n` : [],
    )
    writeFileSync(path.join(folder, `run-${runId}.log`), lines.join(''))
  }
}

/** Until every run has ended, or had the time to. */
async function settle({ eventStoreUrl }: Deployment): Promise<void> {
  const until = performance.now() + SETTLE_MS
  while (performance.now() < until) {
    const log = await readLog(eventStoreUrl).catch(() => undefined)
    if (log && [...endings(log).values()].every(type => type !== undefined)) return
    await delay(500)
  }
}

async function rebuildProjections({ eventStoreUrl, postgresUrl }: Deployment, folder: string) {
  const env = {
    ...process.env,
    OPSCONDUCTOR_DATA_DIR: path.join(folder, 'data'),
    OPSCONDUCTOR_EVENTSTORE_URL: eventStoreUrl,
    OPSCONDUCTOR_POSTGRES_URL: postgresUrl,
  }
  const args = [ENTRY, 'projections', 'rebuild', '--verify']
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 120_000 })
    return { rebuild: stdout.trim(), rebuiltEqual: true }
  } catch (error) {
    const said = error instanceof Error && 'stdout' in error ? `${error.stdout}` : ''
    return { rebuild: `${said}\n${error}`.trim(), rebuiltEqual: false }
  }
}

export function tally<K>(keys: Iterable<K>): Map<K, number> {
  const counts = new Map<K, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

const seconds = (since: number) => Math.round((performance.now() - since) / 100) / 10
