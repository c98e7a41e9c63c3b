import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'

const readyLine = z.strictObject({
  ready: z.literal(true),
  endpoints: z.record(z.string(), z.union([z.string(), z.number()])),
})
export type Endpoints = z.output<typeof readyLine>['endpoints']

export type ChildOptions = {
  name: string
  /** Program and arguments; no secrets, they would show in the process list. */
  command: [string, ...string[]]
  /** Asked before every start. */
  environment: () => NodeJS.ProcessEnv
  /** One line of the child's output. */
  onLine: (line: string) => void
  /** Ready, gone, waiting for the next try. */
  onChange: (what: string) => void
  /** SIGKILL this long after SIGTERM. */
  stopMs: number
}

const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 10_000
const STEADY_AFTER_MS = 30_000
const FIRST_TRIES = 3
const READY_DEADLINE_MS = 60_000

/** A child process that is started again, later each time, whenever it ends without being asked to. */
export class Child {
  readonly name: string
  readonly #options: ChildOptions
  readonly #stopped = new AbortController()
  #process: ChildProcess | undefined
  #gone: Promise<string> = Promise.resolve('not started')
  #endpoints: Endpoints = {}
  #restarts = 0

  constructor(options: ChildOptions) {
    this.name = options.name
    this.#options = options
  }

  /** Undefined while no process runs. */
  get pid(): number | undefined {
    const running = this.#process?.exitCode === null && this.#process.signalCode === null
    return running ? this.#process?.pid : undefined
  }

  get endpoints(): Endpoints {
    return this.#endpoints
  }

  get restarts(): number {
    return this.#restarts
  }

  /** Resolves once the child is ready for the first time; rejects when it could not get ready in a few tries. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const why = await this.#tryStart()
      if (why === undefined) break
      if (attempt === FIRST_TRIES || this.#stopped.signal.aborted) throw new Error(`${this.name} did not start: ${why}`)
      await this.#pause(FIRST_DELAY_MS * 2 ** attempt)
    }
    void this.#keepRunning()
  }

  /** Asks the child to end and makes sure of it. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#process?.kill('SIGTERM')
    const killed = setTimeout(() => {
      this.#options.onChange(`does not stop: killed after ${this.#options.stopMs} ms`)
      this.#process?.kill('SIGKILL')
    }, this.#options.stopMs)
    await this.#gone
    clearTimeout(killed)
  }

  async #keepRunning(): Promise<void> {
    let wait = FIRST_DELAY_MS
    for (;;) {
      const since = Date.now()
      const how = await this.#gone
      if (this.#stopped.signal.aborted) return
      if (Date.now() - since > STEADY_AFTER_MS) wait = FIRST_DELAY_MS
      this.#options.onChange(`${how}; starting again in ${wait} ms`)
      await this.#pause(wait)
      if (this.#stopped.signal.aborted) return
      wait = Math.min(wait * 2, LONGEST_DELAY_MS)
      this.#restarts += 1
      await this.#tryStart()
    }
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stopped.signal }).catch(() => {})
  }

  /** Undefined when the child got ready, else why it did not. */
  async #tryStart(): Promise<string | undefined> {
    if (this.#stopped.signal.aborted) return 'stopping'
    const child = this.#spawn()
    const late = setTimeout(() => child.kill('SIGKILL'), READY_DEADLINE_MS)
    const endpoints = await Promise.race([readiness(child), this.#gone])
    clearTimeout(late)
    if (typeof endpoints === 'string') {
      child.kill('SIGKILL')
      return endpoints
    }
    this.#endpoints = endpoints
    this.#options.onChange('ready')
    return undefined
  }

  // A group of its own: Ctrl-C in a terminal reaches only the supervisor, which stops its children in order. Its end
  // of the child's standard input closes with it, so a child knows when the supervisor is gone.
  #spawn(): ChildProcess {
    const [program, ...args] = this.#options.command
    const child = spawn(program, args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      env: { ...this.#options.environment(), OPSCONDUCTOR_READY_FD: '3', OPSCONDUCTOR_PARENT_PIPE: '1' },
    })
    this.#process = child
    for (const output of [child.stdout, child.stderr]) {
      if (output) createInterface(output).on('line', line => this.#options.onLine(line))
    }
    child.stdin?.on('error', () => {})
    this.#gone = new Promise(resolve => {
      child.once('error', error => resolve(`could not be started (${error.message})`))
      child.once('close', (code, signal) => resolve(signal ? `killed by ${signal}` : `ended with code ${code}`))
    })
    return child
  }
}

/** The endpoints the child announces, or what is wrong with its announcement. */
async function readiness(child: ChildProcess): Promise<Endpoints | string> {
  const pipe: Readable | Writable | null | undefined = child.stdio[3]
  if (!pipe || !('read' in pipe)) return 'it has no readiness pipe'
  const [line] = await once(createInterface(pipe), 'line')
  const parsed = readyLine.safeParse(asJson(line))
  return parsed.success ? parsed.data.endpoints : `unexpected readiness line: ${line}`
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
