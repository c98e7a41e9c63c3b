import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Periods } from './periods.ts'

export type ServiceOptions = {
  name: string
  /** The role it runs. */
  role: string
  /** Asked before every start. */
  environment(): NodeJS.ProcessEnv
  /** What it prints is kept here. */
  logFile: string
}
export type Endpoints = Readonly<Record<string, string | number>>

const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))
const RESTART_MS = 100
const STOP_MS = 15_000

/** One role as a service manager runs it: started again at once whenever it ends, unless it is to stay down. */
export class Service {
  readonly name: string
  /** When it had been killed or had ended, until it was ready again. */
  readonly away = new Periods()
  readonly #options: ServiceOptions
  readonly #log: WriteStream
  readonly #waiting = new Set<() => void>()
  #child: ChildProcess | undefined
  #running = Promise.resolve()
  #wanted = false
  #ready = false
  #endpoints: Endpoints = {}

  constructor(options: ServiceOptions) {
    this.name = options.name
    this.#options = options
    this.#log = createWriteStream(options.logFile, { flags: 'a' })
  }

  /** Undefined while no process runs. */
  get pid(): number | undefined {
    const child = this.#child
    return child?.exitCode === null && child.signalCode === null ? child.pid : undefined
  }

  get endpoints(): Endpoints {
    return this.#endpoints
  }

  /** True from when it said so until it ends. */
  get ready(): boolean {
    return this.#ready
  }

  /** Starts it and keeps it running. */
  up(): void {
    if (this.#wanted) return
    this.#wanted = true
    const before = this.#running
    this.#running = before.then(() => this.#keepRunning())
  }

  /** Kills it, and it stays away until `up`. */
  async down(): Promise<void> {
    this.#wanted = false
    this.kill()
    await this.#running
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    if (signal === 'SIGKILL') this.away.is(true)
    this.#child?.kill(signal)
  }

  /** In order; killed when it takes too long. */
  async stop(): Promise<void> {
    this.#wanted = false
    this.kill('SIGCONT')
    this.kill('SIGTERM')
    const late = setTimeout(() => this.kill(), STOP_MS)
    await this.#running
    clearTimeout(late)
    this.#log.end()
  }

  /** Resolves when it is ready; at once when it is. */
  async untilReady(): Promise<void> {
    if (!this.#ready) await this.nextReady()
  }

  /** Resolves when it gets ready the next time. */
  nextReady(): Promise<void> {
    return new Promise(resolve => this.#waiting.add(resolve))
  }

  async #keepRunning(): Promise<void> {
    while (this.#wanted) {
      await once(this.#spawn(), 'exit')
      this.#ready = false
      this.away.is(true)
      if (this.#wanted) await delay(RESTART_MS)
    }
  }

  // Its end of standard input closes with this process, so that nothing is left when a test is killed.
  #spawn(): ChildProcess {
    const env = { ...this.#options.environment(), OPSCONDUCTOR_READY_FD: '3', OPSCONDUCTOR_PARENT_PIPE: '1' }
    const args = ['--disable-warning=DEP0123', ENTRY, this.#options.role]
    const child = spawn(process.execPath, args, { env, detached: true, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] })
    this.#child = child
    child.stdin?.on('error', () => {})
    child.stdout?.on('data', bytes => this.#log.write(bytes))
    child.stderr?.on('data', bytes => this.#log.write(bytes))
    // The fourth descriptor was asked for as a pipe.
    createInterface(child.stdio[3] as Readable).once('line', line => {
      if (this.#child !== child || this.pid === undefined) return
      this.#endpoints = JSON.parse(line).endpoints
      this.#ready = true
      this.away.is(false)
      for (const resolve of this.#waiting) resolve()
      this.#waiting.clear()
    })
    return child
  }
}
