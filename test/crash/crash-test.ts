import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { keyedCommandId } from '../../command-api/command-record.ts'
import { startSshd } from '../support/sshd.ts'
import { type StartedSystem, startSystem } from '../support/system.ts'
import { clientOf } from '../support/system-client.ts'
import { ClientLedger, type Known } from './client-ledger.ts'
import { type Effect, readEffects } from './effects.ts'
import { brokenCommands, brokenLog, brokenOutput, brokenSteps, endings, readLog } from './judge.ts'
import { load, type StartedRun } from './load.ts'
import { type Kill, nemesis } from './nemesis.ts'
import { Random } from './random.ts'

export type CrashTestOptions = { kills: number; seed: number; say(line: string): void }
export type Verdict = {
  kills: Map<string, number>
  commands: Map<Known['outcome'], number>
  runs: Map<string, number>
  effects: number
  events: number
  seconds: number
  /** From the last kill to the end of the last run. */
  settledAfter: number
  lost: string[]
  doubled: string[]
  stuck: string[]
  log: string[]
  output: string[]
  rebuild: string
  rebuiltEqual: boolean
}

const LEASE_SECONDS = 5
const SETTLE_MS = (LEASE_SECONDS + 60) * 1_000
const ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6']
const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))

/** Kills processes of a working system, and afterwards compares what it says with what others wrote down. */
export async function crashTest({ kills, seed, say }: CrashTestOptions): Promise<Verdict> {
  const ends: Array<() => unknown> = []
  const t = { teardown: (end: () => unknown) => ends.push(end) }
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-crash-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  try {
    const begun = performance.now()
    const random = new Random(seed)
    const system = startSystem(t, { env: { OPSCONDUCTOR_LEASE_SECONDS: String(LEASE_SECONDS) } })
    const sshd = await startSshd(t, { addresses: ADDRESSES })
    const api = await clientOf(system)
    const credentialId = await api.credential(sshd.privateKey, sshd.username)
    const targetIds: string[] = []
    for (const address of ADDRESSES)
      targetIds.push(await api.target(address, { address, port: sshd.port, credentialId }))
    say(`ready after ${seconds(begun)} s; ${kills} kills with seed ${seed}`)

    const ledger = new ClientLedger(path.join(folder, 'commands'))
    const effectsFile = path.join(folder, 'effects')
    const stop = new AbortController()
    const url = system.runtime().url ?? ''
    const loading = load({
      ...{ url, apiKey: keyOf(system), ledger, effectsFile, targetIds },
      ...{ random: random.fork(), signal: stop.signal },
    })
    const killed: Kill[] = []
    const onKill = (kill: Kill) => {
      killed.push(kill)
      say(`${String(killed.length).padStart(4)}  ${kill.victim}`)
    }
    await nemesis({ kills, random: random.fork(), runtime: system.runtime, onKill })
    stop.abort()
    const lastKill = performance.now()
    const runs = await loading
    await settle(system)
    const settledAfter = seconds(lastKill)
    const rebuild = await rebuildProjections(system)
    return await judge(system, {
      ...{ known: ledger.read(), effects: readEffects(effectsFile), runs, killed, rebuild, settledAfter },
      seconds: seconds(begun),
    })
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

type Evidence = {
  known: Map<string, Known>
  effects: Effect[]
  runs: StartedRun[]
  killed: Kill[]
  rebuild: Pick<Verdict, 'rebuild' | 'rebuiltEqual'>
  settledAfter: number
  seconds: number
}

async function judge(system: StartedSystem, evidence: Evidence): Promise<Verdict> {
  const { known, effects, runs, killed, rebuild, settledAfter } = evidence
  const log = await readLog(system.runtime().eventStoreUrl ?? '')
  const ended = endings(log)
  const principal = { actor: { kind: 'api-key' as const, id: keyOf(system).split('_')[1] ?? '' } }
  return {
    kills: tally(killed.map(kill => kill.victim)),
    commands: tally([...known.values()].map(each => each.outcome)),
    runs: tally([...ended.values()].map(type => type?.replace(/^Run/, '') ?? 'Stuck')),
    ...{ effects: effects.length, events: log.length, settledAfter, seconds: evidence.seconds },
    lost: brokenCommands(log, known, key => keyedCommandId(principal, key)),
    doubled: brokenSteps(log, effects, runs),
    stuck: [...ended].filter(([, type]) => type === undefined).map(([runId]) => runId),
    log: brokenLog(log),
    output: await brokenOutput(log, system.runtime().postgresUrl ?? ''),
    ...rebuild,
  }
}

/** Until every run has ended, or had the time to. */
async function settle(system: StartedSystem): Promise<void> {
  const until = performance.now() + SETTLE_MS
  while (performance.now() < until) {
    const log = await readLog(system.runtime().eventStoreUrl ?? '').catch(() => undefined)
    if (log && [...endings(log).values()].every(type => type !== undefined)) return
    await delay(500)
  }
}

async function rebuildProjections(system: StartedSystem): Promise<Pick<Verdict, 'rebuild' | 'rebuiltEqual'>> {
  const env = { ...process.env, OPSCONDUCTOR_DATA_DIR: system.dataDir }
  const args = [ENTRY, 'projections', 'rebuild', '--verify']
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 120_000 })
    return { rebuild: stdout.trim(), rebuiltEqual: true }
  } catch (error) {
    const said = error instanceof Error && 'stdout' in error ? `${error.stdout}` : ''
    return { rebuild: `${said}\n${error}`.trim(), rebuiltEqual: false }
  }
}

function keyOf(system: StartedSystem): string {
  return /opsc_[\w-]{20,}/.exec(system.output())?.[0] ?? ''
}

function tally<K>(keys: Iterable<K>): Map<K, number> {
  const counts = new Map<K, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

const seconds = (since: number) => Math.round((performance.now() - since) / 100) / 10
