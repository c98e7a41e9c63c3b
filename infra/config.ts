import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, resolve } from 'node:path'
import { inspect } from 'node:util'
import { z } from 'zod'
import { isAddressRange } from './address-ranges.ts'
import { areEgressRules } from './egress/policy.ts'
import { groupRoles } from './group-roles.ts'
import { defaultEdge, isOrigin } from './http/edge-options.ts'

/** A value that never shows itself: printed, logged and serialised as `[secret]`. */
export class Secret {
  readonly #value: string
  constructor(value: string) {
    this.#value = value
  }
  reveal(): string {
    return this.#value
  }
  toString(): string {
    return '[secret]'
  }
  toJSON(): string {
    return '[secret]'
  }
  [inspect.custom](): string {
    return '[secret]'
  }
}

const secret = z
  .string()
  .min(1)
  .transform(v => new Secret(v))
const number = (fallback: number, min: number, max: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback)
const flag = z
  .enum(['0', '1'])
  .default('0')
  .transform(v => v === '1')
const executorName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and -')
const firstExecutors = z
  .string()
  .regex(
    /^[a-z0-9-]{1,63}:[a-z0-9-]{1,40}:[0-9a-f]{64}(,[a-z0-9-]{1,63}:[a-z0-9-]{1,40}:[0-9a-f]{64})*$/,
    'id:pool:sha256,…',
  )
  .transform(text =>
    text.split(',').map(one => {
      const [executorId = '', pool = '', tokenHash = ''] = one.split(':')
      return { executorId, pool, tokenHash }
    }),
  )
const labels = z
  .string()
  .regex(/^([a-z0-9._/-]+=[A-Za-z0-9._:@/-]*)?(,[a-z0-9._/-]+=[A-Za-z0-9._:@/-]*)*$/, 'key=value,key=value')
  .default('')
  .transform(text =>
    Object.fromEntries(
      text
        .split(',')
        .filter(Boolean)
        .map(pair => pair.split('=', 2) as [string, string]),
    ),
  )

const list = z
  .string()
  .default('')
  .transform(text =>
    text
      .split(',')
      .map(each => each.trim())
      .filter(Boolean),
  )

/** What is told in clear is told on this machine only. */
function isIssuer(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname))
}

/** Every setting there is. A name ending in _FILE beside a secret reads the secret from that file. */
const settings = z.object({
  OPSCONDUCTOR_DATA_DIR: z
    .string()
    .min(1)
    .default('.opsconductor/data')
    .transform(p => resolve(p)),
  OPSCONDUCTOR_HOST: z.string().min(1).default('127.0.0.1'),
  OPSCONDUCTOR_PORT: number(7400, 0, 65_535),
  OPSCONDUCTOR_HEALTH_PORT: number(0, 0, 65_535),
  OPSCONDUCTOR_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  OPSCONDUCTOR_EVENTSTORE_URL: secret.optional(),
  OPSCONDUCTOR_POSTGRES_URL: secret.optional(),
  OPSCONDUCTOR_NATS_URL: secret.optional(),
  OPSCONDUCTOR_API_KEYS_FILE: z.string().optional(),
  OPSCONDUCTOR_KEK_PROVIDER: z.enum(['file', 'environment', 'vault-transit', 'aws-kms']).default('file'),
  OPSCONDUCTOR_KEK_FILE: z.string().optional(),
  OPSCONDUCTOR_KEK_KEYS: secret.optional(),
  OPSCONDUCTOR_KEK_TRANSIT_KEY: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,80}\/[A-Za-z0-9._-]{1,80}$/, '<mount>/<key>')
    .default('transit/opsconductor'),
  OPSCONDUCTOR_KEK_KMS_KEYS: list,
  OPSCONDUCTOR_KEK_KMS_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  OPSCONDUCTOR_AWS_ACCESS_KEY_ID: z.string().min(1).optional(),
  OPSCONDUCTOR_AWS_SECRET_ACCESS_KEY: secret.optional(),
  OPSCONDUCTOR_AWS_SESSION_TOKEN: secret.optional(),
  OPSCONDUCTOR_HASHICORP_VAULT_URL: z.url({ protocol: /^https?$/ }).optional(),
  OPSCONDUCTOR_HASHICORP_VAULT_TOKEN: secret.optional(),
  OPSCONDUCTOR_HASHICORP_VAULT_NAMESPACE: z.string().min(1).optional(),
  OPSCONDUCTOR_VAULT_EGRESS_ALLOW: list.refine(
    areEgressRules,
    'host names, addresses and CIDR ranges, parted by commas',
  ),
  OPSCONDUCTOR_OIDC_ISSUER: z.url().max(500).refine(isIssuer, 'an https URL, or an http one on loopback').optional(),
  OPSCONDUCTOR_OIDC_CLIENT_ID: z.string().min(1).max(500).optional(),
  OPSCONDUCTOR_OIDC_CLIENT_SECRET: secret.optional(),
  OPSCONDUCTOR_OIDC_REDIRECT_URL: z.url({ protocol: /^https?$/ }).optional(),
  OPSCONDUCTOR_OIDC_CLI_CLIENT_ID: z.string().min(1).max(500).optional(),
  OPSCONDUCTOR_OIDC_CLI_CLIENT_SECRET: secret.optional(),
  OPSCONDUCTOR_OIDC_GROUPS_CLAIM: z.string().min(1).max(200).default('groups'),
  OPSCONDUCTOR_OIDC_ROLES: groupRoles,
  OPSCONDUCTOR_OIDC_EGRESS_ALLOW: list.refine(
    areEgressRules,
    'host names, addresses and CIDR ranges, parted by commas',
  ),
  OPSCONDUCTOR_POOL: executorName.default('default'),
  OPSCONDUCTOR_EXECUTOR_ID: executorName.optional(),
  OPSCONDUCTOR_EXECUTOR_SLOTS: number(128, 1, 1024),
  OPSCONDUCTOR_EXECUTOR_LABELS: labels,
  OPSCONDUCTOR_EXECUTOR_DIR: z.string().optional(),
  OPSCONDUCTOR_SPOOL_MB: number(256, 1, 1_000_000),
  OPSCONDUCTOR_STEP_OUTPUT_MB: number(64, 1, 1_000_000),
  OPSCONDUCTOR_EGRESS_ALLOW: list.refine(areEgressRules, 'host names, addresses and CIDR ranges, parted by commas'),
  OPSCONDUCTOR_ARTIFACT_QUOTA_MB: number(10_240, 1, 100_000_000),
  OPSCONDUCTOR_ARTIFACT_DAYS: number(90, 1, 36_500),
  OPSCONDUCTOR_ENROLMENT_TOKEN: secret.optional(),
  OPSCONDUCTOR_FIRST_EXECUTORS: firstExecutors.optional(),
  OPSCONDUCTOR_LEASE_SECONDS: number(15, 2, 3600),
  OPSCONDUCTOR_RATE_LIMIT: number(defaultEdge.rateLimit, 0, 1_000_000),
  OPSCONDUCTOR_RATE_LIMIT_ADDRESS: number(defaultEdge.addressRateLimit, 0, 1_000_000),
  OPSCONDUCTOR_CORS_ORIGINS: list.refine(
    each => each.every(isOrigin),
    'origins like https://ui.example.org, by commas',
  ),
  OPSCONDUCTOR_TRUSTED_PROXIES: list.refine(each => each.every(isAddressRange), 'addresses and CIDR ranges, by commas'),
  OPSCONDUCTOR_MAX_CONNECTIONS: number(defaultEdge.maxConnections, 1, 1_000_000),
  OPSCONDUCTOR_MAX_CONNECTIONS_PER_ADDRESS: number(defaultEdge.maxConnectionsPerAddress, 1, 1_000_000),
  OPSCONDUCTOR_STOP_SECONDS: number(20, 1, 600),
  OPSCONDUCTOR_READY_FD: z.coerce.number().int().min(3).max(64).optional(),
  OPSCONDUCTOR_PARENT_PIPE: flag,
  OPSCONDUCTOR_NODE_ENDPOINT: z.string().optional(),
  OPSCONDUCTOR_NODE_CREDENTIALS: secret.optional(),
  OPSCONDUCTOR_BROKER_USERS: secret.optional(),
})

export const settingNames: readonly string[] = Object.keys(settings.shape)
const secretNames = new Set([
  'OPSCONDUCTOR_EVENTSTORE_URL',
  'OPSCONDUCTOR_POSTGRES_URL',
  'OPSCONDUCTOR_NATS_URL',
  'OPSCONDUCTOR_NODE_CREDENTIALS',
  'OPSCONDUCTOR_BROKER_USERS',
  'OPSCONDUCTOR_KEK_KEYS',
  'OPSCONDUCTOR_AWS_SECRET_ACCESS_KEY',
  'OPSCONDUCTOR_AWS_SESSION_TOKEN',
  'OPSCONDUCTOR_HASHICORP_VAULT_TOKEN',
  'OPSCONDUCTOR_OIDC_CLIENT_SECRET',
  'OPSCONDUCTOR_OIDC_CLI_CLIENT_SECRET',
  'OPSCONDUCTOR_ENROLMENT_TOKEN',
  'OPSCONDUCTOR_FIRST_EXECUTORS',
])
/** The `_FILE` twins of secret settings, for container secrets. */
export const secretFileNames: readonly string[] = [...secretNames].map(name => `${name}_FILE`)

export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** What weakens Node itself, whatever is configured here. */
function nodeOf(env: NodeJS.ProcessEnv) {
  return Object.freeze({
    /** Any certificate is taken. */
    trustsAnybody: env.NODE_TLS_REJECT_UNAUTHORIZED === '0',
    /** A debugger reads all memory. */
    debuggable: /--inspect(-brk|-wait)?(=|\s|$)/.test(env.NODE_OPTIONS ?? ''),
  })
}

function withSecretFiles(env: NodeJS.ProcessEnv, problems: string[]): Record<string, string> {
  const values: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('OPSCONDUCTOR_') || value === undefined || name.startsWith('OPSCONDUCTOR_TEST_')) continue
    if (settingNames.includes(name)) values[name] = value
    else if (secretFileNames.includes(name)) {
      try {
        values[name.slice(0, -5)] = readFileSync(value, 'utf8').trim()
      } catch (err) {
        problems.push(`${name}: cannot read ${value} (${(err as NodeJS.ErrnoException).code})`)
      }
    } else if (name !== 'OPSCONDUCTOR_API_KEY' && name !== 'OPSCONDUCTOR_URL')
      problems.push(`${name}: there is no such setting`)
  }
  return values
}

/**
 * Reads and checks the whole configuration once.
 * @throws ConfigError that lists every problem, one a line, never a value of a secret.
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env) {
  const problems: string[] = []
  const values = withSecretFiles(env, problems)
  const parsed = settings.safeParse(values)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(`${issue.path.join('.')}: ${issue.message}`)
  }
  if (!parsed.success || problems.length > 0) {
    throw new ConfigError(
      `The configuration has ${problems.length} problem(s):\n${problems.map(p => `  - ${p}`).join('\n')}`,
    )
  }
  const s = parsed.data
  const beside = `${s.OPSCONDUCTOR_DATA_DIR}-keys`
  return Object.freeze({
    dataDir: s.OPSCONDUCTOR_DATA_DIR,
    host: s.OPSCONDUCTOR_HOST,
    port: s.OPSCONDUCTOR_PORT,
    healthPort: s.OPSCONDUCTOR_HEALTH_PORT,
    logLevel: s.OPSCONDUCTOR_LOG_LEVEL,
    /** esdb://… ; absent means embedded (only `up` may find it absent). */
    eventStoreUrl: s.OPSCONDUCTOR_EVENTSTORE_URL,
    postgresUrl: s.OPSCONDUCTOR_POSTGRES_URL,
    natsUrl: s.OPSCONDUCTOR_NATS_URL,
    apiKeysFile: resolve(s.OPSCONDUCTOR_API_KEYS_FILE ?? `${s.OPSCONDUCTOR_DATA_DIR}/api-keys.json`),
    /** Outside the data folder it protects. */
    kekFile: resolve(s.OPSCONDUCTOR_KEK_FILE ?? `${beside}/kek.json`),
    keysDir: s.OPSCONDUCTOR_KEK_FILE ? dirname(resolve(s.OPSCONDUCTOR_KEK_FILE)) : beside,
    /** Where the vault's key-encryption keys are, and what it takes to use them there. */
    kek: {
      provider: s.OPSCONDUCTOR_KEK_PROVIDER,
      /** `id:base64,…`, the first wraps what is new. */
      keys: s.OPSCONDUCTOR_KEK_KEYS,
      transitKey: s.OPSCONDUCTOR_KEK_TRANSIT_KEY,
      /** ARNs, the first wraps what is new. */
      kmsKeys: s.OPSCONDUCTOR_KEK_KMS_KEYS,
      kmsEndpoint: s.OPSCONDUCTOR_KEK_KMS_ENDPOINT,
    },
    aws: {
      accessKeyId: s.OPSCONDUCTOR_AWS_ACCESS_KEY_ID,
      secretAccessKey: s.OPSCONDUCTOR_AWS_SECRET_ACCESS_KEY,
      sessionToken: s.OPSCONDUCTOR_AWS_SESSION_TOKEN,
    },
    /** For keys (transit) and for credentials that are references (KV). */
    hashicorpVault: {
      url: s.OPSCONDUCTOR_HASHICORP_VAULT_URL,
      token: s.OPSCONDUCTOR_HASHICORP_VAULT_TOKEN,
      namespace: s.OPSCONDUCTOR_HASHICORP_VAULT_NAMESPACE,
    },
    /** Where the vault may ask for keys and secrets beside public addresses. */
    vaultEgressAllow: s.OPSCONDUCTOR_VAULT_EGRESS_ALLOW,
    oidc: oidcOf(s),
    pool: s.OPSCONDUCTOR_POOL,
    executorId: s.OPSCONDUCTOR_EXECUTOR_ID ?? defaultExecutorId(),
    executorSlots: s.OPSCONDUCTOR_EXECUTOR_SLOTS,
    executorLabels: s.OPSCONDUCTOR_EXECUTOR_LABELS,
    /** Spool and identity of the executor. */
    executorDir: resolve(s.OPSCONDUCTOR_EXECUTOR_DIR ?? `${s.OPSCONDUCTOR_DATA_DIR}/executor`),
    /** Output that could not be delivered yet; more of it is lost, and told as a gap. */
    spoolBytes: s.OPSCONDUCTOR_SPOOL_MB * 1024 * 1024,
    /** Kept of what one attempt of a step prints; the rest is read and thrown away, and told of. */
    stepOutputBytes: s.OPSCONDUCTOR_STEP_OUTPUT_MB * 1024 * 1024,
    /** Where steps may send HTTP requests beside public addresses: host names, addresses, CIDR ranges. */
    egressAllow: s.OPSCONDUCTOR_EGRESS_ALLOW,
    /** Of all artifacts together. */
    artifactQuotaBytes: s.OPSCONDUCTOR_ARTIFACT_QUOTA_MB * 1024 * 1024,
    /** An artifact that was not used for so long is removed. */
    artifactDays: s.OPSCONDUCTOR_ARTIFACT_DAYS,
    /** What an executor shows to be let in; used once. */
    enrolmentToken: s.OPSCONDUCTOR_ENROLMENT_TOKEN,
    /** Executors that may come in with the token of this SHA-256 when they never did before. */
    firstExecutors: s.OPSCONDUCTOR_FIRST_EXECUTORS ?? [],
    leaseSeconds: s.OPSCONDUCTOR_LEASE_SECONDS,
    /** How the API stands towards the network. */
    edge: Object.freeze({
      rateLimit: s.OPSCONDUCTOR_RATE_LIMIT,
      addressRateLimit: s.OPSCONDUCTOR_RATE_LIMIT_ADDRESS,
      corsOrigins: s.OPSCONDUCTOR_CORS_ORIGINS,
      trustedProxies: s.OPSCONDUCTOR_TRUSTED_PROXIES,
      maxConnections: s.OPSCONDUCTOR_MAX_CONNECTIONS,
      maxConnectionsPerAddress: s.OPSCONDUCTOR_MAX_CONNECTIONS_PER_ADDRESS,
    }),
    stopSeconds: s.OPSCONDUCTOR_STOP_SECONDS,
    node: nodeOf(env),
    /** Files that secrets were read from. */
    secretFiles: secretFileNames.flatMap(name => env[name] ?? []),
    readyFd: s.OPSCONDUCTOR_READY_FD,
    parentPipe: s.OPSCONDUCTOR_PARENT_PIPE,
    /** host:port an embedded dependency listens on; chosen by the supervisor. */
    nodeEndpoint: s.OPSCONDUCTOR_NODE_ENDPOINT,
    /** user:password the embedded event store node asks for. */
    nodeCredentials: s.OPSCONDUCTOR_NODE_CREDENTIALS,
    /** JSON list of broker users. */
    brokerUsers: s.OPSCONDUCTOR_BROKER_USERS,
  })
}
export type Config = ReturnType<typeof loadConfig>

export type OidcClient = { clientId: string; clientSecret: Secret | undefined }

/** The OpenID provider that people may come by; undefined without one. */
function oidcOf(s: z.output<typeof settings>) {
  const issuer = s.OPSCONDUCTOR_OIDC_ISSUER
  const [clientId, redirectUrl] = [s.OPSCONDUCTOR_OIDC_CLIENT_ID, s.OPSCONDUCTOR_OIDC_REDIRECT_URL]
  const cliId = s.OPSCONDUCTOR_OIDC_CLI_CLIENT_ID
  if (issuer === undefined) return undefined
  if ((clientId === undefined) !== (redirectUrl === undefined) || (clientId ?? cliId) === undefined)
    throw new ConfigError(
      'OPSCONDUCTOR_OIDC_ISSUER needs OPSCONDUCTOR_OIDC_CLIENT_ID and OPSCONDUCTOR_OIDC_REDIRECT_URL for a page, ' +
        'OPSCONDUCTOR_OIDC_CLI_CLIENT_ID for the command line, or all three',
    )
  const pageClient = { clientId, clientSecret: s.OPSCONDUCTOR_OIDC_CLIENT_SECRET }
  const cliClient = { clientId: cliId, clientSecret: s.OPSCONDUCTOR_OIDC_CLI_CLIENT_SECRET }
  return Object.freeze({
    issuer,
    /** By way of a page at `redirectUrl`. */
    page: redirectUrl !== undefined && isClient(pageClient) ? { ...pageClient, redirectUrl } : undefined,
    /** By way of a port of the loopback interface that the command line listens on. */
    cli: isClient(cliClient) ? cliClient : undefined,
    groupsClaim: s.OPSCONDUCTOR_OIDC_GROUPS_CLAIM,
    /** Whoever is in the group holds the role, everywhere. */
    roles: s.OPSCONDUCTOR_OIDC_ROLES,
    /** Where the provider may be beside public addresses. */
    egressAllow: s.OPSCONDUCTOR_OIDC_EGRESS_ALLOW,
  })
}

const isClient = (client: { clientId: string | undefined; clientSecret: Secret | undefined }): client is OidcClient =>
  client.clientId !== undefined

function defaultExecutorId(): string {
  const host = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .replace(/^-+/, '')
  return `executor-${host}`.slice(0, 63)
}

/** The environment for a child process: ours without any secret setting, and `own` on top. */
export function childEnvironment(
  own: Record<string, string>,
  env: NodeJS.ProcessEnv = process.env,
): Record<string, string | undefined> {
  const withheld = new Set([...secretNames, ...secretFileNames, 'OPSCONDUCTOR_API_KEY'])
  const inherited = Object.entries(env).filter(([name]) => !withheld.has(name))
  return { ...Object.fromEntries(inherited), ...own }
}
