import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { programOrSkip } from '../../test/support/packages.ts'
import { rawNats } from '../../test/support/raw-nats.ts'
import { BusDenied, connectBus } from '../bus.ts'
import { makeSecrets } from './secrets.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

async function output(program: string, args: string[]) {
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', chunk => {
    out += chunk
  })
  child.stderr.on('data', chunk => {
    err += chunk
  })
  const [code] = await once(child, 'close')
  return { code, out, err }
}

t.test('docker-compose reads the file as it is meant', async t => {
  const program = programOrSkip(t, 'docker-compose')
  if (!program) return
  const { code, out, err } = await output(program, ['--file', 'docker-compose.yml', 'config'])
  t.equal(code, 0, err)
  t.equal(err, '', 'without a warning')
  const resolved = parse(out)
  const written = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true })
  t.same(Object.keys(resolved.services).sort(), Object.keys(written.services).sort())
  for (const [name, service] of Object.entries<Record<string, unknown>>(resolved.services)) {
    const source = written.services[name]
    for (const key of ['image', 'command', 'environment', 'depends_on', 'read_only', 'cap_drop', 'security_opt']) {
      t.same(service[key], source[key], `${name} ${key}`)
    }
  }
})

/** The file tree of the container, in a folder: the password file is found by its path relative to the configuration. */
async function startAsInContainer(t: Test, program: string) {
  const folder = t.testdir({ etc: { nats: {} }, run: {} })
  makeSecrets({ folder: join(folder, 'run/secrets'), natsHost: '127.0.0.1' })
  mkdirSync(join(folder, 'etc/nats'), { recursive: true })
  const config = join(folder, 'etc/nats/nats.conf')
  copyFileSync(join(root, 'infra/docker/nats.conf'), config)
  const child = spawn(program, ['--config', config, '--addr', '127.0.0.1', '--port', '-1', '--http_port', '-1'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(async () => {
    child.kill()
    await once(child, 'exit')
  })
  const ports = { client: 0, monitor: 0 }
  for await (const line of createInterface({ input: child.stderr })) {
    ports.client = Number(/Listening for client connections on .*:(\d+)/.exec(line)?.[1] ?? ports.client)
    ports.monitor = Number(/Starting http monitor on .*:(\d+)/.exec(line)?.[1] ?? ports.monitor)
    if (line.includes('Server is ready')) break
    if (/\[FTL\]|nats-server: /.test(line)) throw new Error(line)
  }
  child.stderr.resume()
  const secret = (user: string) => new URL(readFileSync(join(folder, `run/secrets/nats_url_${user}`), 'utf8').trim())
  const url = (user: string) => {
    const { username, password } = secret(user)
    return `nats://${username}:${password}@127.0.0.1:${ports.client}`
  }
  return { ports, secret, url }
}

t.test('nats-server with the configuration of the container', async t => {
  const program = programOrSkip(t, 'nats-server')
  if (!program) return
  const { ports, secret, url } = await startAsInContainer(t, program)
  const log = pino({ level: 'silent' })
  const connect = async (user: string) => {
    const bus = await connectBus({ url: url(user), name: user, log })
    t.teardown(() => bus.close())
    return bus
  }
  t.equal((await fetch(`http://127.0.0.1:${ports.monitor}/healthz`)).status, 200, 'what the health check asks')
  const [api, workers, vault, executor] = await Promise.all(['api', 'workers', 'vault', 'executor'].map(connect))
  if (!api || !workers || !vault || !executor) throw new Error('not all connected')

  workers.subscribe('opsc.dispatch.v1.pull.*', message => message.reply('work'))
  vault.subscribe('opsc.vault.v1.seal', message => message.reply('sealed'))
  await Promise.all([workers.flush(), vault.flush()])
  const timeoutMs = 5_000
  const answer = async (reply: Promise<{ data: Uint8Array }>) => new TextDecoder().decode((await reply).data)
  t.equal(await answer(executor.request('opsc.dispatch.v1.pull.default', '', { timeoutMs })), 'work')
  t.equal(await answer(api.request('opsc.vault.v1.seal', '', { timeoutMs })), 'sealed')
  await t.rejects(executor.request('opsc.vault.v1.seal', '', { timeoutMs }), BusDenied)
  await t.rejects(executor.request('opsc.report.v1.executor-2', '', { timeoutMs }), BusDenied)

  const { username, password } = secret('executor')
  const rogue = await rawNats(ports.client, { user: username, pass: password })
  for (const subject of [
    '>',
    '_INBOX.>',
    '_INBOX.workers.>',
    'opsc.control.v1.*',
    'opsc.control.v1.executor-2',
    '$SYS.>',
  ]) {
    rogue.send(`SUB ${subject} 1\r\n`)
    t.match(await rogue.until(/-ERR '.*'\r\n/), `Subscription to "${subject}"`)
  }
  rogue.close()
})
