import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { makeSecrets } from '../../infra/docker/secrets.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/**
 * Starts nats-server on what the container mounts, in a folder laid out like the container: the password file is found
 * by its path relative to the configuration. It ends with the test.
 */
export async function startContainerNats(t: Test, program: string) {
  const folder = mkdtempSync(join(tmpdir(), 'opsconductor-nats-'))
  mkdirSync(join(folder, 'etc/nats'), { recursive: true })
  makeSecrets({ folder: join(folder, 'run/secrets'), natsHost: '127.0.0.1' })
  const config = join(folder, 'etc/nats/nats.conf')
  copyFileSync(join(root, 'infra/docker/nats.conf'), config)
  const child = spawn(program, ['--config', config, '--addr', '127.0.0.1', '--port', '-1', '--http_port', '-1'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(async () => {
    child.kill()
    await once(child, 'exit')
    rmSync(folder, { recursive: true })
  })
  const ports = { client: 0, monitor: 0 }
  for await (const line of createInterface({ input: child.stderr })) {
    ports.client = Number(/Listening for client connections on .*:(\d+)/.exec(line)?.[1] ?? ports.client)
    ports.monitor = Number(/Starting http monitor on .*:(\d+)/.exec(line)?.[1] ?? ports.monitor)
    if (line.includes('Server is ready')) break
    if (/\[FTL\]|nats-server: /.test(line)) throw new Error(line)
  }
  child.stderr.resume()
  const url = (user: string) => {
    const { username, password } = new URL(readFileSync(join(folder, `run/secrets/nats_url_${user}`), 'utf8').trim())
    return `nats://${username}:${password}@127.0.0.1:${ports.client}`
  }
  return { ports, url }
}
