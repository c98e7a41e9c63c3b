import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { natsServerConfig } from '../../infra/embedded/broker/index.ts'
import { type TestBroker, type TestBrokerOptions, urls } from './broker.ts'
import { programOf } from './packages.ts'

type Teardown = { teardown(handler: () => Promise<void>): unknown }

/** Starts a real nats-server with the configuration that `natsServerConfig` makes; it ends with the test. */
export async function startNatsServer(t: Teardown, options: TestBrokerOptions = {}): Promise<TestBroker> {
  const folder = await mkdtemp(join(tmpdir(), 'opsconductor-nats-'))
  let running = await launch(folder, options, -1)
  t.teardown(async () => {
    await end(running.child, 'SIGTERM')
    await rm(folder, { recursive: true })
  })
  const { port } = running
  const { url, urlFor } = urls(options)
  return {
    url: url(port),
    port,
    urlFor: user => urlFor(port, user),
    stop: () => end(running.child, 'SIGTERM'),
    kill9: () => end(running.child, 'SIGKILL'),
    restart: async () => {
      await end(running.child, 'SIGTERM')
      running = await launch(folder, options, port)
    },
  }
}

async function launch(folder: string, options: TestBrokerOptions, port: number) {
  const binary = programOf('nats-server')
  if (!binary) throw new Error('nats-server is not installed')
  const { port: _fixed, ...limits } = options
  const file = join(folder, 'nats.conf')
  await writeFile(file, natsServerConfig({ ...limits, listen: `127.0.0.1:${port}` }), { mode: 0o600 })
  const child = spawn(binary, ['--config', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  return { child, port: await listeningPort(child.stderr) }
}

/** nats-server says on which port it listens, and then `Server is ready`, in its log. */
async function listeningPort(stream: Readable): Promise<number> {
  const seen: string[] = []
  let port = 0
  const lines = createInterface({ input: stream })
  for await (const line of lines) {
    seen.push(line)
    port = Number(/Listening for client connections on .*:(\d+)/.exec(line)?.[1] ?? port)
    if (line.includes('Server is ready')) {
      stream.resume() // the rest is read and forgotten
      return port
    }
  }
  throw new Error(`nats-server did not start:\n${seen.join('\n')}`)
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}
