import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { type Config, childEnvironment } from '../../config.ts'
import { sha256Hex } from '../../ids.ts'
import { certificateFileOf } from '../event-store/tls/certificate.ts'
import type { BrokerUsers } from '../roles/broker.ts'
import { brokerUserOf, brokerUsersFor } from './broker-users.ts'
import { type Dependency, dependencyRole, needsOf, type RoleName } from './plan.ts'

const NODE_USER = 'opsconductor'

const password = () => randomBytes(24).toString('base64url')

/**
 * How the roles reach what they need: the URLs given in the configuration, or those of the embedded dependencies,
 * whose passwords are new at every start of the supervisor and whose addresses are kept once they are known.
 */
export class Connections {
  readonly #config: Config
  readonly #nodePassword = password()
  readonly #brokerUsers: BrokerUsers
  /** What the executor of this system shows to be let in when it never was. */
  readonly #enrolmentToken = password()
  readonly #addresses = new Map<RoleName, string>()

  constructor(config: Config) {
    this.#config = config
    this.#brokerUsers = brokerUsersFor(config, password)
  }

  given(): Record<Dependency, boolean> {
    const { eventStoreUrl, postgresUrl, natsUrl } = this.#config
    return { 'event-store': Boolean(eventStoreUrl), postgres: Boolean(postgresUrl), broker: Boolean(natsUrl) }
  }

  /** Keeps where an embedded dependency listens or the API listens, for its next starts. */
  learn(role: RoleName, address: string | number | undefined): void {
    if (typeof address === 'string') this.#addresses.set(role, address)
  }

  eventStoreUrl(): string | undefined {
    const address = this.#addresses.get(dependencyRole['event-store'])
    const trusted = encodeURIComponent(certificateFileOf(path.join(this.#config.dataDir, 'event-store')))
    // The client sends credentials over TLS only.
    const embedded = address && `esdb://${NODE_USER}:${this.#nodePassword}@${address}?tls=true&tlsCAFile=${trusted}`
    return this.#config.eventStoreUrl?.reveal() ?? embedded
  }

  postgresUrl(): string | undefined {
    return this.#config.postgresUrl?.reveal() ?? this.#addresses.get(dependencyRole.postgres)
  }

  /** With the credentials of the role's own broker user. */
  natsUrl(role: RoleName): string | undefined {
    const address = this.#addresses.get(dependencyRole.broker)
    const user = this.#brokerUsers.find(({ user }) => user === brokerUserOf(role))
    const embedded = address && user && `nats://${user.user}:${user.password}@${address}`
    return this.#config.natsUrl?.reveal() ?? embedded
  }

  /** What a role is told, and nothing it has no use for. */
  environment(role: RoleName): NodeJS.ProcessEnv {
    const own: Record<string, string | undefined> = {
      OPSCONDUCTOR_EVENTSTORE_URL: needsOf(role).includes('event-store') ? this.eventStoreUrl() : undefined,
      OPSCONDUCTOR_POSTGRES_URL: needsOf(role).includes('postgres') ? this.postgresUrl() : undefined,
      OPSCONDUCTOR_NATS_URL: needsOf(role).includes('broker') ? this.natsUrl(role) : undefined,
      OPSCONDUCTOR_NODE_ENDPOINT: this.#endpoint(role),
      OPSCONDUCTOR_PORT: this.#publicPort(role),
      OPSCONDUCTOR_NODE_CREDENTIALS: role === 'event-store-node' ? `${NODE_USER}:${this.#nodePassword}` : undefined,
      OPSCONDUCTOR_BROKER_USERS: role === 'broker' ? JSON.stringify(this.#brokerUsers) : undefined,
      OPSCONDUCTOR_ENROLMENT_TOKEN: role === 'executor' ? this.#token() : undefined,
      OPSCONDUCTOR_FIRST_EXECUTORS: role === 'workers' || role === 'reactors' ? this.#firstExecutors() : undefined,
      ...(role === 'vault' && this.#vaultSecrets()),
      ...(signsIn(role) && this.#oidcSecrets()),
      // Health answers of several roles on one machine cannot share a port.
      OPSCONDUCTOR_HEALTH_PORT: '0',
    }
    return childEnvironment(Object.fromEntries(Object.entries(own).filter(isSet)))
  }

  #oidcSecrets(): Record<string, string | undefined> {
    const { oidc } = this.#config
    return {
      OPSCONDUCTOR_OIDC_CLIENT_SECRET: oidc?.page?.clientSecret?.reveal(),
      OPSCONDUCTOR_OIDC_CLI_CLIENT_SECRET: oidc?.cli?.clientSecret?.reveal(),
    }
  }

  #vaultSecrets(): Record<string, string | undefined> {
    const { kek, aws, hashicorpVault } = this.#config
    return {
      OPSCONDUCTOR_KEK_KEYS: kek.keys?.reveal(),
      OPSCONDUCTOR_AWS_SECRET_ACCESS_KEY: aws.secretAccessKey?.reveal(),
      OPSCONDUCTOR_AWS_SESSION_TOKEN: aws.sessionToken?.reveal(),
      OPSCONDUCTOR_HASHICORP_VAULT_TOKEN: hashicorpVault.token?.reveal(),
    }
  }

  /** One that was asked for counts; else the one made here, which only the reactors of this system know of. */
  #token(): string {
    return this.#config.enrolmentToken?.reveal() ?? this.#enrolmentToken
  }

  /** The executor of this system needs nobody to ask for a token: the reactors know the digest of the one it has. */
  #firstExecutors(): string {
    const { executorId, pool, firstExecutors } = this.#config
    const own = { executorId, pool, tokenHash: sha256Hex(this.#enrolmentToken) }
    return [own, ...firstExecutors].map(each => `${each.executorId}:${each.pool}:${each.tokenHash}`).join(',')
  }

  #endpoint(role: RoleName): string | undefined {
    return role === 'broker' || role === 'event-store-node' ? this.#addresses.get(role) : undefined
  }

  // A port that the system chose at the first start is kept over restarts, like any other address.
  #publicPort(role: RoleName): string | undefined {
    const address = this.#addresses.get(role)
    return address?.startsWith('http') ? new URL(address).port : undefined
  }
}

const signsIn = (role: RoleName): boolean => role === 'api' || role === 'command-api'

function isSet(entry: [string, string | undefined]): entry is [string, string] {
  return entry[1] !== undefined
}
