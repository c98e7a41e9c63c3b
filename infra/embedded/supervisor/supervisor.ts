import { fileURLToPath } from 'node:url'
import type { Config } from '../../config.ts'
import { removeRuntime, writeRuntime } from '../../runtime-file.ts'
import { Child } from './child.ts'
import { Connections } from './connections.ts'
import { formatLine } from './output.ts'
import { type Plan, plan, type RoleName } from './plan.ts'

// grpc-js names an IP address as the TLS server name; Node warns about it in every role that reads the log.
const FLAGS = ['--disable-warning=DEP0123']
const ENTRY = fileURLToPath(new URL('../../../opsconductor.js', import.meta.url))
// A role ends its own stages within the configured time; what lies above it is for its process to go away.
const STOP_MARGIN_MS = 5_000

/** The processes of one system: started in order, kept running, stopped in order. */
export class Supervisor {
  readonly #config: Config
  readonly #connections: Connections
  readonly #plan: Plan
  readonly #children = new Map<RoleName, Child>()
  readonly #startedAt: string
  readonly #write: (line: string) => void
  #stopping = false

  constructor(config: Config, roles: readonly RoleName[], write: (line: string) => void) {
    this.#config = config
    this.#connections = new Connections(config)
    this.#plan = plan(roles, this.#connections.given())
    this.#startedAt = new Date().toISOString()
    this.#write = write
    for (const role of this.#plan.start.flat()) this.#children.set(role, this.#child(role))
  }

  /** The public base URL, once an API runs. */
  get url(): string | undefined {
    const apis: RoleName[] = ['api', 'query-api', 'command-api']
    const urls = apis.map(role => this.#children.get(role)?.endpoints.url)
    return urls.find(url => typeof url === 'string')
  }

  /** Where commands are sent to, once an API that takes them runs. */
  get commandUrl(): string | undefined {
    const apis: RoleName[] = ['api', 'command-api']
    return apis.map(role => this.#children.get(role)?.endpoints.url).find(url => typeof url === 'string')
  }

  /** Resolves when every role is ready; rejects with the first that cannot get ready. */
  async start(): Promise<void> {
    for (const stage of this.#plan.start) {
      if (this.#stopping) return
      await Promise.all(this.#childrenOf(stage).map(child => child.start()))
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true
    for (const stage of this.#plan.stop) await Promise.all(this.#childrenOf(stage).map(child => child.stop()))
    removeRuntime(this.#config.dataDir)
  }

  /** For a second signal: no order, no waiting. */
  kill(): void {
    for (const { pid } of this.#children.values()) {
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
    }
  }

  /** A line of the supervisor's own in the one log. */
  say(message: string): void {
    this.#line('supervisor', message)
  }

  #child(role: RoleName): Child {
    return new Child({
      name: role,
      command: [process.execPath, ...FLAGS, ENTRY, role],
      environment: () => this.#connections.environment(role),
      onLine: line => this.#line(role, line),
      onChange: what => this.#changed(role, what),
      stopMs: this.#config.stopSeconds * 1000 + STOP_MARGIN_MS,
    })
  }

  #changed(role: RoleName, what: string): void {
    const { address, url } = this.#children.get(role)?.endpoints ?? {}
    this.#connections.learn(role, address ?? url)
    if (what !== 'ready') this.say(`${role} ${what}`)
    if (!this.#stopping) this.#publish()
  }

  #publish(): void {
    const children = [...this.#children.values()]
    const roles = children.flatMap(({ name, pid, restarts, endpoints }) =>
      pid === undefined ? [] : [[name, { pid, restarts, endpoints }] as const],
    )
    const users = [...this.#children.keys()].flatMap(role => {
      const url = this.#connections.natsUrl(role)
      return url === undefined ? [] : [[role, url] as const]
    })
    writeRuntime(this.#config.dataDir, {
      pid: process.pid,
      startedAt: this.#startedAt,
      url: this.url,
      eventStoreUrl: this.#connections.eventStoreUrl(),
      postgresUrl: this.#connections.postgresUrl(),
      natsUrls: Object.fromEntries(users),
      roles: Object.fromEntries(roles),
    })
  }

  #childrenOf(stage: readonly RoleName[]): Child[] {
    return stage.flatMap(role => this.#children.get(role) ?? [])
  }

  #line(role: string, line: string): void {
    this.#write(formatLine(role, line, new Date()))
  }
}
