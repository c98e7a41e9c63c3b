import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { z } from 'zod'
import { ConfigError, loadConfig, settingNames } from '../config.ts'
import { brokerUserOf } from '../embedded/supervisor/broker-users.ts'
import { type Dependency, needsOf, type RoleName } from '../embedded/supervisor/plan.ts'
import { containerExecutor, containerNatsConfig } from './nats-config.ts'
import { makeSecrets } from './secrets.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')

const service = z.object({
  image: z.string(),
  build: z.string().optional(),
  command: z.array(z.string()).default([]),
  user: z.string().optional(),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  networks: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  restart: z.string().optional(),
  read_only: z.boolean().default(false),
  privileged: z.boolean().default(false),
  cap_drop: z.array(z.string()).default([]),
  cap_add: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  mem_limit: z.string().optional(),
  pids_limit: z.number().optional(),
  logging: z.object({ options: z.record(z.string(), z.string()) }).optional(),
})
const composeFile = z.object({
  services: z.record(z.string(), service),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
  networks: z.record(z.string(), z.object({ internal: z.boolean().default(false) })),
  volumes: z.record(z.string(), z.object({})),
})
type Service = z.output<typeof service>
type Compose = z.output<typeof composeFile>

const load = (): Compose => composeFile.parse(parse(read('docker-compose.yml'), { merge: true }))
const compose = load()
const roles: RoleName[] = ['vault', 'projectors', 'reactors', 'command-api', 'query-api', 'executor']
const roleServices = roles.map(role => [role, compose.services[role]] as const)

/** Each rule says what is wrong with a service; nothing when it keeps the rule. */
const rules: Record<string, (service: Service) => boolean> = {
  'a pinned image': ({ image }) => /^[a-z0-9./-]+:\d+\.\d+\.\d+[a-z0-9.-]*$|^[a-z]+:\d+\.\d+-[a-z]+$/.test(image),
  'a health check': ({ healthcheck }) => (healthcheck?.test.length ?? 0) > 1 && healthcheck?.test[0] !== 'NONE',
  'a restart policy': ({ restart }) => restart === 'unless-stopped',
  'a read-only root file system': ({ read_only }) => read_only,
  'no capabilities': each => each.cap_drop.includes('ALL') && each.cap_add.length === 0 && !each.privileged,
  'no new privileges': ({ security_opt }) => security_opt.includes('no-new-privileges:true'),
  'not root': ({ user }) => user === undefined || !/^(0|root)(:|$)/.test(user),
  'bounded memory and processes': each => each.mem_limit !== undefined && each.pids_limit !== undefined,
  'bounded logs': ({ logging }) => Boolean(logging?.options['max-size'] && logging.options['max-file']),
  'starts after healthy services only': each =>
    Object.values(each.depends_on).every(({ condition }) => condition === 'service_healthy'),
  'networks of its own choice': ({ networks }) => networks.length > 0,
  'published on loopback only': ({ ports }) => ports.every(port => port.startsWith('127.0.0.1:')),
  'no docker socket': ({ volumes }) => volumes.every(volume => !volume.includes('docker.sock')),
  'no plain secret': each =>
    [...Object.entries(each.environment), ...each.command.map(word => ['command', word] as const)].every(
      ([name, value]) =>
        !/:\/\/[^/]*@/.test(value) && (!/PASSWORD|SECRET|TOKEN|KEY/.test(name) || name.endsWith('_FILE')),
    ),
}

const broken: Record<string, Partial<Service>> = {
  'a pinned image': { image: 'postgres:latest' },
  'a health check': { healthcheck: { test: ['NONE'] } },
  'a restart policy': { restart: 'no' },
  'a read-only root file system': { read_only: false },
  'no capabilities': { cap_add: ['NET_ADMIN'] },
  'no new privileges': { security_opt: [] },
  'not root': { user: '0:0' },
  'bounded memory and processes': { pids_limit: undefined },
  'bounded logs': { logging: { options: {} } },
  'starts after healthy services only': { depends_on: { nats: { condition: 'service_started' } } },
  'networks of its own choice': { networks: [] },
  'published on loopback only': { ports: ['7400:8080'] },
  'no docker socket': { volumes: ['/var/run/docker.sock:/var/run/docker.sock'] },
  'no plain secret': { environment: { POSTGRES_PASSWORD: 'x' } },
}

for (const [rule, keeps] of Object.entries(rules)) {
  t.test(`every service has ${rule}`, async t => {
    for (const [name, each] of Object.entries(compose.services)) t.ok(keeps(each), name)
    for (const each of Object.values(compose.services))
      t.notOk(keeps({ ...each, ...broken[rule] }), 'the rule can fail')
  })
}

t.test('images are never the newest there happens to be', async t => {
  const keeps = rules['a pinned image']
  for (const image of ['nats', 'nats:latest', 'nats:2', 'nats:alpine', 'x/y:1.2']) {
    t.notOk(keeps?.({ ...service.parse({ image }) }), image)
  }
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')))
  for (const [role, each] of roleServices) t.equal(each?.image, `opsconductor:${version}`, role)
})

t.test('every role has a service that runs it', async t => {
  for (const [role, each] of roleServices) t.same(each?.command, [role])
  const others = Object.keys(compose.services).filter(name => !roles.some(role => role === name))
  t.same(others.sort(), ['eventstore', 'gateway', 'nats', 'postgres'])
  t.equal(roleServices.filter(([, each]) => each?.build !== undefined).length, 1, 'and the image is built once')
})

t.test('services start in an order that exists', async t => {
  const started = new Set<string>()
  const waiting = new Set(Object.keys(compose.services))
  for (let progress = true; progress; ) {
    const ready = [...waiting].filter(name => {
      const needed = Object.keys(compose.services[name]?.depends_on ?? {})
      return needed.every(each => started.has(each))
    })
    for (const name of ready) {
      started.add(name)
      waiting.delete(name)
    }
    progress = ready.length > 0
  }
  t.same([...waiting], [])
})

const stateOf: Record<Dependency, { service: string; network: string; setting: string }> = {
  'event-store': { service: 'eventstore', network: 'log', setting: 'OPSCONDUCTOR_EVENTSTORE_URL' },
  postgres: { service: 'postgres', network: 'db', setting: 'OPSCONDUCTOR_POSTGRES_URL' },
  broker: { service: 'nats', network: 'bus', setting: 'OPSCONDUCTOR_NATS_URL' },
}

t.test('a role reaches what it needs, and nothing else', async t => {
  for (const [dependency, { service: serves, network, setting }] of Object.entries(stateOf)) {
    t.same(compose.services[serves]?.networks, [network], `${serves} is on its own network`)
    t.equal(compose.networks[network]?.internal, true, `${network} leads nowhere else`)
    for (const [role, each] of roleServices) {
      const needed = needsOf(role).some(need => need === dependency)
      t.equal(each?.networks.includes(network), needed, `${role} on ${network}`)
      t.equal(
        Object.keys(each?.environment ?? {}).some(name => name.startsWith(setting)),
        needed,
        `${role} ${setting}`,
      )
      if (needed) t.ok(startsAfter(role, serves), `${role} starts after ${serves}`)
    }
  }
  const reaching = Object.entries(compose.services).filter(([, each]) => each.networks.includes('outside'))
  t.same(reaching.map(([name]) => name).sort(), ['executor', 'gateway'], 'only these reach the outside')
})

function startsAfter(name: string, earlier: string): boolean {
  const needed = Object.keys(compose.services[name]?.depends_on ?? {})
  return needed.includes(earlier) || needed.some(each => startsAfter(each, earlier))
}

t.test('the settings of every role pass the configuration', async t => {
  const folder = join(t.testdir(), 'secrets')
  makeSecrets({ folder })
  const image = imageSettings()
  t.ok(Object.keys(image).length >= 4)
  for (const [role, each] of roleServices) {
    const here = Object.entries({ ...image, ...each?.environment }).map(([name, value]) => [
      name,
      value.replace('/run/secrets', folder),
    ])
    const env: Record<string, string> = Object.fromEntries(here)
    for (const name of Object.keys(env))
      t.ok(settingNames.includes(name.replace(/_FILE$/, '')) || settingNames.includes(name), name)
    const config = loadConfig(env)
    t.equal(config.port, 7400)
    t.equal(config.healthPort, 7400, 'the port that the health check asks')
    const user = config.natsUrl && new URL(config.natsUrl.reveal()).username
    t.equal(user, brokerUserOf(role), `${role} signs in to the broker as itself`)
    if (role === 'executor') {
      t.match({ executorId: config.executorId, pool: config.pool }, containerExecutor)
    }
    const served = role === 'command-api' || role === 'query-api'
    t.equal(config.host, served ? '0.0.0.0' : '127.0.0.1', `${role} is reachable only where it serves`)
    t.throws(() => loadConfig({ ...env, OPSCONDUCTOR_TYPO: '1' }), ConfigError, 'an unknown setting is refused')
  }
})

function imageSettings(): Record<string, string> {
  const instruction = /^ENV ((?:.*\\\n)*.*)$/m.exec(read('Dockerfile'))?.[1] ?? ''
  const pairs = instruction.replaceAll('\\\n', ' ').trim().split(/\s+/)
  return Object.fromEntries(pairs.map(pair => pair.split('=', 2)))
}

t.test('secrets', async t => {
  const base = t.testdir()
  const [folder, other] = [join(base, 'one'), join(base, 'other')]
  const made = makeSecrets({ folder })
  t.same(made.sort(), Object.keys(compose.secrets).sort(), 'every secret that is mounted is made, and no other')
  for (const [name, { file }] of Object.entries(compose.secrets)) t.equal(file, `./secrets/${name}`)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  for (const name of made) t.equal(statSync(join(folder, name)).mode & 0o777, 0o444, name)
  t.throws(() => makeSecrets({ folder }), /exists/, 'never overwritten')

  for (const [name, each] of Object.entries(compose.services)) {
    const mounted = each.secrets.map(secret => `/run/secrets/${secret}`)
    const used = Object.entries(each.environment).filter(([key]) => key.endsWith('_FILE'))
    if (name === 'nats') t.match(containerNatsConfig(), /^include "..\/..\/run\/secrets\/nats_passwords"/)
    else t.same(used.map(([, value]) => value).sort(), mounted.sort(), `${name} has the secrets it uses`)
  }
  const prepare = (...args: string[]) =>
    spawnSync(process.execPath, ['build/infra/docker/prepare.js', ...args], { cwd: root })
  t.match(prepare('secrets', other), { status: 0 })
  t.same(readdirSync(other).sort(), made)
  t.equal(prepare('nats-config').stdout.toString(), containerNatsConfig())
  t.match(prepare('secrets'), { status: 2 })
  const password = (where: string) => readFileSync(join(where, 'postgres_password'), 'utf8').trim()
  t.match(password(folder), /^[\w-]{32}$/)
  t.not(password(folder), password(other), 'two installations share nothing')
  t.ok(readFileSync(join(folder, 'postgres_url'), 'utf8').includes(`:${password(folder)}@`))
})

t.test('volumes are declared, and what is mounted from here exists', async t => {
  for (const [name, each] of Object.entries(compose.services)) {
    for (const volume of each.volumes) {
      const [source = '', target = '', mode = 'rw'] = volume.split(':')
      t.match(target, /^\//, volume)
      if (!source.startsWith('./')) t.ok(source in compose.volumes, `${name} ${volume}`)
      else t.ok(existsSync(join(root, source)) && mode === 'ro', `${name} ${volume}`)
    }
  }
  for (const folder of ['/var/lib/opsconductor', '/var/lib/opsconductor-keys', '/var/lib/opsconductor-api-keys']) {
    t.match(read('Dockerfile'), new RegExp(`install -d .*${folder}( |$)`, 'm'), `${folder} belongs to the roles' user`)
  }
})

t.test('the broker has the users and permissions of the embedded one', async t => {
  const again = 'node build/infra/docker/prepare.js nats-config > infra/docker/nats.conf'
  t.equal(read('infra/docker/nats.conf'), containerNatsConfig(), `make it again: ${again}`)
})

t.test('the gateway knows both APIs', async t => {
  const file = read('infra/docker/nginx.conf')
  const routes = [...file.matchAll(/location (?:= )?(\S+) \{\s+set \$\w+ ([\w-]+:\d+);/g)].map(([, path, to]) => [
    path,
    to,
  ])
  t.same(routes, [
    ['/v1/commands', 'command-api:7400'],
    ['/docs', 'command-api:7400'],
    ['/v1/openapi.json', 'command-api:7400'],
    ['/v1/artifacts', 'command-api:7400'],
    ['/v1/artifacts/', 'query-api:7400'],
    ['/', 'query-api:7400'],
  ])
  t.match(file, 'listen 8080')
  t.match(compose.services.gateway?.ports, ['127.0.0.1:7400:8080'])
})

t.test('the image', async t => {
  const file = read('Dockerfile')
  const lines = file.split('\n')
  t.match(file, /^ARG NODE_IMAGE=node:24\.\d+\.\d+-[a-z]+-slim$/m, 'Node 24, pinned')
  const from = lines.filter(line => line.startsWith('FROM '))
  t.equal(from.length, 3, 'built in stages')
  for (const line of from) t.match(line, /^FROM \$\{NODE_IMAGE\} AS \w+$/)
  const installs = lines.filter(line => /npm (ci|install|i)\b/.test(line))
  t.same(installs, ['RUN npm ci --ignore-scripts --omit=dev', 'RUN npm ci --ignore-scripts'])
  t.match(file, /^COPY --from=dependencies \/app\/node_modules /m, 'production dependencies only')
  t.match(file, /^USER 1000:1000$/m, 'not root')
  t.ok(file.lastIndexOf('USER') > file.lastIndexOf('RUN'))
  t.match(file, /^HEALTHCHECK /m)
  t.notMatch(file, /^ADD |curl|latest|PASSWORD|SECRET/m)
  const own = compose.services.vault?.healthcheck?.test.slice(1)
  t.ok(own && file.includes(JSON.stringify(own).replaceAll(',', ', ')), 'the same health check as in the compose file')
  const ignored = read('.dockerignore').split('\n')
  t.equal(ignored[1], '*')
  const apart = ['build', 'node_modules', 'test', 'bench', 'docs', 'ui', 'secrets']
  const folders = readdirSync(root, { withFileTypes: true }).filter(entry => entry.isDirectory())
  const sources = folders.map(({ name }) => name).filter(name => !name.startsWith('.') && !apart.includes(name))
  for (const source of [...sources, 'opsconductor.ts', 'package-lock.json'])
    t.ok(ignored.includes(`!${source}`), source)
})

t.test('the health check', async t => {
  const script = fileURLToPath(new URL('./health-check.js', import.meta.url))
  const run = async (...args: string[]) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.on('data', chunk => {
      said += chunk
    })
    const [code] = await once(child, 'close')
    return { code, said }
  }
  let status = 200
  const server = createServer((_request, response) => response.writeHead(status).end('{"checks":"here"}'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const url = `http://127.0.0.1:${address && typeof address === 'object' ? address.port : 0}/health/ready`
  t.match(await run(url), { code: 0, said: '' })
  status = 503
  t.match(await run(url), { code: 1, said: '503 {"checks":"here"}' })
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
  t.match(await run(url), { code: 1, said: /ECONNREFUSED/ })
  t.match(await run(), { code: 2, said: /^usage/ })
})
