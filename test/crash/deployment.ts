import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import type { NetConnectOpts } from 'node:net'
import path from 'node:path'
import { apiKeyId, createApiKey } from '../../infra/api-keys.ts'
import { childEnvironment } from '../../infra/config.ts'
import { certificateFileOf } from '../../infra/embedded/event-store/tls/certificate.ts'
import { brokerUsersFor } from '../../infra/embedded/supervisor/broker-users.ts'
import { ProxyLine } from '../support/proxy.ts'
import { Service } from '../support/service.ts'

export const executors = ['executor-1', 'executor-2', 'executor-3'] as const
export type Executor = (typeof executors)[number]
export const dependencies = ['event-store', 'postgres', 'broker'] as const
export type Dependency = (typeof dependencies)[number]
const clients = ['vault', 'api', 'workers'] as const
export type Client = (typeof clients)[number]
export type ServiceName = Dependency | Client | Executor
/** Who talks to what, each over a line of its own. */
export type LineName = `${Client} ${Dependency}` | `${Executor} broker`

type Teardown = { teardown(fn: () => unknown): unknown }
type Options = {
  folder: string
  /** What the processes print is kept here. */
  logs: string
  leaseSeconds: number
  executorFolder(name: Executor): string
  eventStoreFolder: string
}

export type Deployment = {
  services: ReadonlyMap<ServiceName, Service>
  lines: ReadonlyMap<LineName, ProxyLine>
  line(name: LineName): ProxyLine
  url: string
  apiKey: string
  apiKeyId: string
  /** Not over a line: for those who judge. */
  eventStoreUrl: string
  postgresUrl: string
}

const NODE_USER = 'opsconductor'
const secret = () => randomBytes(24).toString('base64url')

/** Every role in a process of its own, three executors, and a line that can be held and cut between any two of them. */
export async function deploy(t: Teardown, options: Options): Promise<Deployment> {
  const { folder, logs } = options
  const apiKeysFile = path.join(folder, 'api-keys.json')
  mkdirSync(logs, { recursive: true })
  const apiKey = createApiKey(apiKeysFile, 'crash test', { now: new Date().toISOString() })
  const services = new Map<ServiceName, Service>()
  const lines = new Map<LineName, ProxyLine>()
  const users = brokerUsers()
  const nodePassword = secret()
  const endpoint = (name: ServiceName, key = 'address') => services.get(name)?.endpoints[key]?.toString()
  const nodeUrl = (address: string) => {
    const trusted = encodeURIComponent(certificateFileOf(path.join(options.eventStoreFolder, 'event-store')))
    return `esdb://${NODE_USER}:${nodePassword}@${address}?tls=true&tlsCAFile=${trusted}`
  }
  const common = {
    ...{ OPSCONDUCTOR_LEASE_SECONDS: String(options.leaseSeconds), OPSCONDUCTOR_API_KEYS_FILE: apiKeysFile },
    ...{ OPSCONDUCTOR_DATA_DIR: path.join(folder, 'data'), OPSCONDUCTOR_LOG_LEVEL: 'info' },
    OPSCONDUCTOR_PORT: '0',
  }
  const add = (name: ServiceName, role: string, own: () => Record<string, string>) => {
    const environment = () => childEnvironment({ ...common, ...own() }, withoutOurs())
    const service = new Service({ name, role, environment, logFile: path.join(logs, `${name}.log`) })
    services.set(name, service)
    t.teardown(() => service.stop())
    service.up()
    return service.untilReady()
  }
  const connect = async (client: Client | Executor, to: readonly Dependency[]) => {
    for (const each of to) {
      const name = `${client} ${each}` as LineName // only clients are given more than the broker
      lines.set(name, await ProxyLine.start(t, lineTo(name, each, endpoint, folder)))
    }
  }
  const address = (name: LineName) => `127.0.0.1:${lines.get(name)?.port}`
  const brokerUrl = (client: Client | Executor) =>
    `nats://${client}:${users.find(each => each.user === client)?.password}@${address(`${client} broker` as LineName)}`
  const kept = (name: Dependency): Record<string, string> => {
    const known = endpoint(name)
    return known === undefined ? {} : { OPSCONDUCTOR_NODE_ENDPOINT: known }
  }
  await Promise.all([
    add('event-store', 'event-store-node', () => ({
      ...kept('event-store'),
      OPSCONDUCTOR_DATA_DIR: options.eventStoreFolder,
      OPSCONDUCTOR_NODE_CREDENTIALS: `${NODE_USER}:${nodePassword}`,
    })),
    add('postgres', 'postgres', () => ({})),
    add('broker', 'broker', () => ({ ...kept('broker'), OPSCONDUCTOR_BROKER_USERS: JSON.stringify(users) })),
  ])
  for (const client of clients) {
    await connect(client, dependencies)
    const socketFolder = path.join(folder, `pg-${client}`)
    await add(client, client, () => ({
      OPSCONDUCTOR_EVENTSTORE_URL: nodeUrl(address(`${client} event-store`)),
      OPSCONDUCTOR_POSTGRES_URL: throughSocket(endpoint('postgres', 'url') ?? '', socketFolder),
      OPSCONDUCTOR_NATS_URL: brokerUrl(client),
      ...(client === 'api' && endpoint('api', 'url') && { OPSCONDUCTOR_PORT: portOf(endpoint('api', 'url') ?? '') }),
    }))
  }
  for (const executor of executors) {
    await connect(executor, ['broker'])
    await add(executor, 'executor', () => ({
      OPSCONDUCTOR_EXECUTOR_ID: executor,
      OPSCONDUCTOR_EXECUTOR_DIR: options.executorFolder(executor),
      OPSCONDUCTOR_NATS_URL: brokerUrl(executor),
    }))
  }
  return {
    ...{ services, lines },
    line: name => {
      const line = lines.get(name)
      if (!line) throw new Error(`there is no line ${name}`)
      return line
    },
    ...{ url: endpoint('api', 'url') ?? '', apiKey, apiKeyId: apiKeyId(apiKey) ?? '' },
    eventStoreUrl: nodeUrl(endpoint('event-store') ?? ''),
    postgresUrl: endpoint('postgres', 'url') ?? '',
  }
}

type Endpoint = (name: ServiceName, key?: string) => string | undefined

// The embedded Postgres listens on a Unix socket alone.
function lineTo(name: LineName, to: Dependency, endpoint: Endpoint, folder: string) {
  if (to !== 'postgres') return { to: () => tcp(endpoint(to) ?? '') }
  const socketFolder = path.join(folder, `pg-${name.split(' ')[0]}`)
  mkdirSync(socketFolder, { recursive: true })
  const file = '.s.PGSQL.5432'
  const real = () => new URL(endpoint('postgres', 'url') ?? '').searchParams.get('host') ?? ''
  return { to: () => ({ path: path.join(real(), file) }), on: { path: path.join(socketFolder, file) } }
}

function tcp(address: string): NetConnectOpts {
  const { hostname, port } = new URL(`tcp://${address}`)
  return { host: hostname, port: Number(port) }
}

function throughSocket(url: string, socketFolder: string): string {
  const changed = new URL(url)
  changed.searchParams.set('host', socketFolder)
  return changed.href
}

const portOf = (url: string) => new URL(url).port

/** The users of the embedded broker, where each executor has a name and a place for answers of its own. */
function brokerUsers() {
  const usersOf = (executorId: string) => brokerUsersFor({ executorId }, secret)
  const ours = executors.flatMap(name =>
    usersOf(name)
      .filter(({ user }) => user === 'executor')
      .map(({ password, permissions: { publish, subscribe } }) => {
        const allow = subscribe.allow.map(subject => subject.replace('_INBOX.executor.', `_INBOX.${name}.`))
        return { user: name, password, permissions: { publish, subscribe: { allow } } }
      }),
  )
  return [...usersOf('nobody').filter(({ user }) => user !== 'executor'), ...ours]
}

/** Whoever runs the test may have settings of their own. */
function withoutOurs(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('OPSCONDUCTOR_')))
}
