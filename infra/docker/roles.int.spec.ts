import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { z } from 'zod'
import { startContainerNats } from '../../test/support/container-nats.ts'
import { startEventStore } from '../../test/support/event-store.ts'
import { programOrSkip } from '../../test/support/packages.ts'
import { freshDatabase } from '../../test/support/postgres.ts'
import { until } from '../../test/support/process.ts'
import { sha256Hex } from '../ids.ts'

// The roles of docker-compose.yml, each started with its own command, variables and secret files, in the order of the
// file, on parts that listen on loopback instead of the containers' names.

const root = fileURLToPath(new URL('../../../', import.meta.url))
const composeFile = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string(),
      command: z.array(z.string()).default([]),
      environment: z.record(z.string(), z.string()).default({}),
    }),
  ),
})
const entry = join(root, 'bin/opsconductor.mjs')
const readyLine = z.object({
  ready: z.literal(true),
  endpoints: z.record(z.string(), z.union([z.string(), z.number()])),
})

function roleServices() {
  const { services } = composeFile.parse(parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }))
  return Object.entries(services).filter(([, { image }]) => image.startsWith('opsconductor:'))
}

async function startRole(t: Test, cwd: string, command: string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [entry, ...command], {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...env, OPSCONDUCTOR_READY_FD: '3' },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', chunk => {
      said += chunk
    })
  }
  const gone = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const stop = async (): Promise<number | null> => {
    child.kill('SIGTERM')
    const [code] = await gone
    return code
  }
  const readyPipe = child.stdio[3] as Readable // the fourth entry of stdio above is a pipe
  const [line] = await Promise.race([
    once(createInterface({ input: readyPipe }), 'line'),
    gone.then(([code]) => Promise.reject(new Error(`${command} ended with ${code}:\n${said}`))),
  ])
  return { endpoints: readyLine.parse(JSON.parse(line)).endpoints, stop, said: () => said }
}

t.test('every role starts, is healthy and stops as the compose file has it', { timeout: 120_000 }, async t => {
  const program = programOrSkip(t, 'nats-server')
  if (!program) return
  const [nats, store, database] = await Promise.all([
    startContainerNats(t, program),
    startEventStore(t),
    freshDatabase(t),
  ])
  const folder = t.testdir()
  const stateFolder = (name: string) => {
    mkdirSync(join(folder, name), { recursive: true, mode: 0o700 })
    return join(folder, name)
  }
  const token = 'a token of forty characters and no more..'
  const enrolling: Record<string, string> = {
    ...{ enrolment_token: token, first_executors: `executor-1:default:${sha256Hex(token)}` },
  }
  const secretFile = (name: string) => {
    const user = name.replace('nats_url_', '')
    const file = join(stateFolder('secrets'), name)
    const content = name.startsWith('nats_url_') ? nats.url(user) : (enrolling[name] ?? database.url)
    writeFileSync(file, content)
    return file
  }
  const local = (value: string) => {
    if (value.startsWith('/run/secrets/')) return secretFile(value.slice('/run/secrets/'.length))
    return value.startsWith('esdb://') ? store.connectionString : value
  }
  const image = {
    OPSCONDUCTOR_DATA_DIR: stateFolder('data'),
    OPSCONDUCTOR_KEK_FILE: join(stateFolder('keys'), 'kek.json'),
    OPSCONDUCTOR_API_KEYS_FILE: join(stateFolder('api-keys'), 'api-keys.json'),
    OPSCONDUCTOR_PORT: '0',
    OPSCONDUCTOR_HEALTH_PORT: '0',
  }
  const healthCheck = fileURLToPath(new URL('./health-check.js', import.meta.url))
  const urls = new Map<string, string>()
  const running: { name: string; stop: () => Promise<number | null>; said: () => string }[] = []
  for (const [name, { command, environment }] of roleServices()) {
    const own = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, local(value)]))
    const role = await startRole(t, folder, command, { ...image, ...own, OPSCONDUCTOR_HOST: '127.0.0.1' })
    running.push({ name, ...role })
    const base = String(role.endpoints.health ?? role.endpoints.url)
    urls.set(name, base)
    const check = spawn(process.execPath, [healthCheck, new URL('/health/ready', base).href], { stdio: 'inherit' })
    t.same(await once(check, 'exit'), [0, null], `${name} is healthy`)
  }

  const key = await newAdminKey(image)
  const ask = async (role: string, path: string, body?: object) => {
    const answer = await fetch(new URL(path, urls.get(role)), {
      headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    })
    return { status: answer.status, body: await answer.text() }
  }
  // The secret goes from the command API to the vault over NATS, the credential over the log to the query API.
  const secret = { kind: 'password', password: 'correct horse battery staple' }
  const sent = { name: 'web', username: 'deploy', secret }
  const created = await ask('command-api', '/v1/commands/create-credential', sent)
  t.equal(created.status, 201, created.body)
  const { position } = z.object({ position: z.string() }).parse(JSON.parse(created.body))
  const seen = await ask('query-api', `/v1/credentials?minPosition=${position}`)
  t.match(seen, { status: 200, body: /"deploy"/ })

  // What the query API turns away is recorded by the command API, and read back from the query API.
  const stranger = await fetch(new URL('/v1/runs', urls.get('query-api')), { headers: { authorization: 'Bearer x' } })
  t.equal(stranger.status, 401)
  await until('the refusal is in the audit trail', async () => {
    const { body } = await ask('query-api', '/v1/audit?type=RequestRefused')
    return /"unauthenticated"/.test(body)
  })

  for (const { name, stop, said } of running.reverse()) {
    t.equal(await stop(), 0, `${name} stops in order`)
    t.notMatch(
      said(),
      /PERMISSIONS_VIOLATION|refused by the broker|"level":[56]0/,
      `${name} had nothing to complain about`,
    )
  }
})

async function newAdminKey(env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, [entry, 'admin-key', 'create'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let key = ''
  child.stdout.on('data', chunk => {
    key += chunk
  })
  await once(child, 'close')
  return key.trim()
}
