import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import type { NetConnectOpts } from 'node:net'
import path from 'node:path'
import { apiKeyId, createApiKey } from '../../infra/api-keys.ts'
import { childEnvironment } from '../../infra/config.ts'
import { certificateFileOf } from '../../infra/embedded/event-store/tls/certificate.ts'
import { sha256Hex } from '../../infra/ids.ts'
import { brokerUsers } from '../../infra/nats-permissions.ts'
import { ProxyLine } from './proxy.ts'
import { Service } from './service.ts'

export const executors = ['executor-1', 'executor-2', 'executor-3'] as const
export type Executor = (typeof executors)[number]
const dependencies = ['event-store', 'postgres', 'broker'] as const
export type Dependency = (typeof dependencies)[number]
const clients = ['vault', 'api', 'workers'] as const
type Client = (typeof clients)[number]
export type ServiceName = Dependency | Client | Executor
/** Who talks to what, each over a line of its own. */
export type LineName = `${Client} ${Dependency}` | `${Executor} broker`

type Teardown = { teardown(fn: () => unknown): unknown }
export type DeploymentOptions = {
  folder: string
  /** What the processes print is kept here. */
  logs: string
  /** Whether everything goes over lines that can be held and cut. */
  lines: boolean
  env?: Record<string, string>
  /** By default in `folder`. */
  executorFolder?: (name: Executor) => string
  eventStoreFolder?: string
}

const NODE_USER = 'opsconductor'
const SOCKET = '.s.PGSQL.5432'
const secret = () => randomBytes(24).toString('base64url')

/** Starts a deployment; it ends with the test. Resolves when every process is ready. */
export async function deploy(t: Teardown, options: DeploymentOptions): Promise<Deployment> {
  const deployment = new Deployment(t, options)
  await deployment.start()
  return deployment
}

/** Every role in a process of its own, and three executors, as service managers on several machines would run them. */
export class Deployment {
  readonly services = new Map<ServiceName, Service>()
  readonly lines = new Map<LineName, ProxyLine>()
  readonly apiKey: string
  readonly #t: Teardown
  readonly #options: DeploymentOptions
  readonly #apiKeysFile: string
  readonly #nodePassword = secret()
  readonly #enrolmentToken = secret()
  readonly #brokerUsers = brokerUsers(
    executors.map(executorId => ({ executorId })),
    secret,
  )

  constructor(t: Teardown, options: DeploymentOptions) {
    this.#t = t
    this.#options = options
    this.#apiKeysFile = path.join(options.folder, 'api-keys.json')
    mkdirSync(options.logs, { recursive: true })
    this.apiKey = createApiKey(this.#apiKeysFile, 'deployment', { now: new Date().toISOString() })
  }

  async start(): Promise<void> {
    await Promise.all(dependencies.map(each => this.#run(each, each === 'event-store' ? 'event-store-node' : each)))
    for (const client of clients) {
      for (const each of dependencies) await this.#connect(`${client} ${each}`, each)
      await this.#run(client, client)
    }
    for (const executor of executors) await this.#connect(`${executor} broker`, 'broker')
    await Promise.all(executors.map(executor => this.#run(executor, 'executor')))
  }

  get url(): string {
    return this.#endpoint('api', 'url')
  }

  get apiKeyId(): string {
    return apiKeyId(this.apiKey) ?? ''
  }

  /** Not over a line: for those who judge. */
  get eventStoreUrl(): string {
    return this.#nodeUrl(this.#endpoint('event-store'))
  }

  get postgresUrl(): string {
    return this.#endpoint('postgres', 'url')
  }

  line(name: LineName): ProxyLine {
    const line = this.lines.get(name)
    if (!line) throw new Error(`there is no line ${name}`)
    return line
  }

  #run(name: ServiceName, role: string): Promise<void> {
    const { folder, logs, env } = this.#options
    const common = {
      ...{ OPSCONDUCTOR_API_KEYS_FILE: this.#apiKeysFile, OPSCONDUCTOR_DATA_DIR: path.join(folder, 'data') },
      ...{ OPSCONDUCTOR_PORT: '0', ...env },
    }
    const environment = () => childEnvironment({ ...common, ...this.#own(name) }, withoutOurs())
    const service = new Service({ name, role, environment, logFile: path.join(logs, `${name}.log`) })
    this.services.set(name, service)
    this.#t.teardown(() => service.stop())
    service.up()
    return service.untilReady()
  }

  /** What one process is told beside what all are told. */
  #own(name: ServiceName): Record<string, string> {
    switch (name) {
      case 'event-store':
        return {
          ...{ ...this.#samePlace(name), OPSCONDUCTOR_NODE_CREDENTIALS: `${NODE_USER}:${this.#nodePassword}` },
          OPSCONDUCTOR_DATA_DIR: this.#eventStoreFolder,
        }
      case 'postgres':
        return {}
      case 'broker':
        return { ...this.#samePlace(name), OPSCONDUCTOR_BROKER_USERS: JSON.stringify(this.#brokerUsers) }
      case 'vault':
        return this.#urls(name)
      case 'api':
        return { ...this.#urls(name), ...(this.url && { OPSCONDUCTOR_PORT: new URL(this.url).port }) }
      case 'workers': {
        const invited = executors.map(each => `${each}:default:${sha256Hex(this.#enrolmentToken)}`)
        return { ...this.#urls(name), OPSCONDUCTOR_FIRST_EXECUTORS: invited.join(',') }
      }
      case 'executor-1':
      case 'executor-2':
      case 'executor-3': {
        const folder = this.#options.executorFolder?.(name) ?? path.join(this.#options.folder, name)
        return {
          ...{ OPSCONDUCTOR_EXECUTOR_ID: name, OPSCONDUCTOR_EXECUTOR_DIR: folder },
          ...{ OPSCONDUCTOR_ENROLMENT_TOKEN: this.#enrolmentToken, OPSCONDUCTOR_NATS_URL: this.#brokerUrl(name) },
        }
      }
    }
  }

  /** A restart must not move what others were told the address of. */
  #samePlace(name: 'event-store' | 'broker'): Record<string, string> {
    const known = this.#endpoint(name)
    return known === '' ? {} : { OPSCONDUCTOR_NODE_ENDPOINT: known }
  }

  #urls(client: Client): Record<string, string> {
    const postgresUrl = new URL(this.postgresUrl)
    if (this.#options.lines) postgresUrl.searchParams.set('host', this.#socketFolder(client))
    return {
      OPSCONDUCTOR_EVENTSTORE_URL: this.#nodeUrl(this.#address(`${client} event-store`, 'event-store')),
      OPSCONDUCTOR_POSTGRES_URL: postgresUrl.href,
      OPSCONDUCTOR_NATS_URL: this.#brokerUrl(client),
    }
  }

  #brokerUrl(client: Client | Executor): string {
    const password = this.#brokerUsers.find(({ user }) => user === client)?.password
    return `nats://${client}:${password}@${this.#address(`${client} broker`, 'broker')}`
  }

  #nodeUrl(address: string): string {
    const trusted = encodeURIComponent(certificateFileOf(path.join(this.#eventStoreFolder, 'event-store')))
    return `esdb://${NODE_USER}:${this.#nodePassword}@${address}?tls=true&tlsCAFile=${trusted}`
  }

  #address(line: LineName, to: 'event-store' | 'broker'): string {
    return this.#options.lines ? `127.0.0.1:${this.line(line).port}` : this.#endpoint(to)
  }

  async #connect(name: LineName, to: Dependency): Promise<void> {
    if (this.#options.lines) this.lines.set(name, await ProxyLine.start(this.#t, this.#lineOptions(name, to)))
  }

  // The embedded Postgres listens on a Unix socket alone.
  #lineOptions(name: LineName, to: Dependency) {
    if (to !== 'postgres') return { to: () => tcp(this.#endpoint(to)) }
    const folder = this.#socketFolder(name.split(' ')[0] ?? '')
    mkdirSync(folder, { recursive: true })
    const real = () => new URL(this.postgresUrl).searchParams.get('host') ?? ''
    return { to: () => ({ path: path.join(real(), SOCKET) }), on: { path: path.join(folder, SOCKET) } }
  }

  #socketFolder(client: string): string {
    return path.join(this.#options.folder, `pg-${client}`)
  }

  get #eventStoreFolder(): string {
    return this.#options.eventStoreFolder ?? path.join(this.#options.folder, 'data')
  }

  #endpoint(name: ServiceName, key = 'address'): string {
    return String(this.services.get(name)?.endpoints[key] ?? '')
  }
}

function tcp(address: string): NetConnectOpts {
  const { hostname, port } = new URL(`tcp://${address}`)
  return { host: hostname, port: Number(port) }
}

/** Whoever runs the test may have settings of their own. */
function withoutOurs(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('OPSCONDUCTOR_')))
}
