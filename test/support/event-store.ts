import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** What a spec needs of its test context: `t` of tap fits. */
type Teardown = { teardown(fn: () => unknown): void }

export type EventStoreOptions = {
  /** Data folder; a temporary one, removed at the end, when not given. */
  dataDir?: string
  credentials?: { username: string; password: string }
  /** Command that runs the node's command line given behind it, for example under a limit. */
  launcher?: string[]
}

export type StartedEventStore = {
  /** Stays the same over kill9 and restart. */
  connectionString: string
  dataDir: string
  pid: number
  /** Ends the process with SIGKILL and waits until it is gone. */
  kill9(): Promise<void>
  /** Stops the process if it runs and starts it again on the same port and data folder. */
  restart(): Promise<void>
  stop(): Promise<void>
  /** Resolves with exit code or signal once the process has ended by itself or otherwise. */
  exited(): Promise<number | string>
  /** Log lines of the process so far. */
  log(): string
}

const ENTRY = fileURLToPath(new URL('../../infra/embedded/event-store/node-process.js', import.meta.url))
const START_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 5_000

/** Starts an embedded event store node as its own process on a free loopback port and ends it with the test. */
export async function startEventStore(t: Teardown, options: EventStoreOptions = {}): Promise<StartedEventStore> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'opsc-events-'))
  let child: ChildProcess
  let port = 0
  let log = ''

  async function start() {
    const [command = process.execPath, ...args] = [...(options.launcher ?? []), process.execPath, ENTRY]
    child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    child.stderr?.on('data', chunk => {
      log += chunk
    })
    child.stdin?.write(`${JSON.stringify({ dataDir, port, credentials: options.credentials })}\n`)
    const ready = await readyLine(child, () => log)
    port = ready.port
    started.pid = child.pid ?? 0
    started.connectionString = ready.connectionString
  }

  async function end(signal: NodeJS.Signals) {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  const started: StartedEventStore = {
    connectionString: '',
    dataDir,
    pid: 0,
    kill9: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    async restart() {
      await end('SIGTERM')
      await start()
    },
    async exited() {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      return child.exitCode ?? child.signalCode ?? ''
    },
    log: () => log,
  }
  t.teardown(async () => {
    // In order if it can: a killed process tells nobody which of its lines ran.
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await end('SIGTERM')
    clearTimeout(impatience)
    if (!options.dataDir) rmSync(dataDir, { recursive: true, force: true })
  })
  await start()
  return started
}

async function readyLine(child: ChildProcess, log: () => string): Promise<{ port: number; connectionString: string }> {
  if (!child.stdout) throw new Error('the event store process has no output')
  const deadline = AbortSignal.timeout(START_TIMEOUT_MS)
  const lines = createInterface({ input: child.stdout })
  const exited = once(child, 'exit', { signal: deadline }).then(([code, signal]) => {
    throw new Error(`the event store ended with ${code ?? signal}: ${log()}`)
  })
  const line = once(lines, 'line', { signal: deadline })
  const [text] = await Promise.race([line, exited])
  exited.catch(() => {})
  return JSON.parse(String(text))
}

/** Connection string of a real EventStoreDB to hold against the same specs, when there is one. */
export const realEventStoreUrl = (): string | undefined => process.env.OPSCONDUCTOR_TEST_EVENTSTORE_URL || undefined
