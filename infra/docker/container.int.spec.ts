import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import t from 'tap'
import { parse } from 'yaml'
import { startContainerNats } from '../../test/support/container-nats.ts'
import { programOrSkip } from '../../test/support/packages.ts'
import { rawNats } from '../../test/support/raw-nats.ts'
import { BusDenied, connectBus } from '../bus.ts'

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

t.test('nats-server with the configuration of the container', async t => {
  const program = programOrSkip(t, 'nats-server')
  if (!program) return
  const { ports, url } = await startContainerNats(t, program)
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

  const { username, password } = new URL(url('executor'))
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
