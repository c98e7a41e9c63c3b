import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import type { DemoKeys, DemoServer } from '../demo-server.ts'
import { Limit } from '../limit.ts'
import { connectSsh } from '../ssh/connection.ts'
import { SshFailure } from '../ssh/failure.ts'
import { pause } from '../wait.ts'

const READY_MS = 5_000

/** Path of OpenSSH's server, or undefined. */
export const findSshd = (searchPath: string): string | undefined =>
  ['/usr/sbin', '/usr/local/sbin', ...searchPath.split(path.delimiter)]
    .map(folder => path.join(folder, 'sshd'))
    .find(file => existsSync(file))

/** Runs OpenSSH as this user on loopback. Rejects where it will not start or let this user in. */
export async function startOpenSsh(sshd: string, folder: string, hosts: string[], keys: DemoKeys): Promise<DemoServer> {
  const port = await freePort()
  const file = (name: string, content: string) => {
    writeFileSync(path.join(folder, name), content, { mode: 0o600 })
    return path.join(folder, name)
  }
  const config = file(
    'sshd_config',
    [
      `Port ${port}`,
      ...hosts.map(host => `ListenAddress ${host}`),
      `HostKey ${file('host_key', keys.host.private)}`,
      `AuthorizedKeysFile ${file('authorized_keys', `${keys.user.public}\n`)}`,
      ...['PidFile none', 'StrictModes no', 'UsePAM no', 'UseDNS no', 'PermitRootLogin prohibit-password'],
      ...['PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'AllowTcpForwarding no', 'X11Forwarding no'],
      ...['PrintMotd no', 'PrintLastLog no', ''],
    ].join('\n'),
  )
  // sshd, started by root, wants the folder its package makes at boot.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const child = spawn(sshd, ['-D', '-e', '-f', config], { stdio: 'ignore' })
  const stop = () => end(child)
  try {
    await letsIn(child, hosts[0] ?? '127.0.0.1', port, keys)
    return { kind: 'openssh', port, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function letsIn(child: ChildProcess, address: string, port: number, keys: DemoKeys): Promise<void> {
  const until = performance.now() + READY_MS
  for (;;) {
    try {
      const connection = await connectSsh({
        ...{ address, port, username: keys.username, knownHostKey: keys.host.public, handshakes: new Limit(1) },
        verifyHostKey: async () => undefined,
        secret: async () => ({ kind: 'ssh-key', privateKey: keys.user.private }),
        signal: AbortSignal.timeout(READY_MS),
      })
      connection.end()
      return
    } catch (error) {
      const turnedAway = error instanceof SshFailure && error.class === 'auth-failed'
      if (turnedAway || child.exitCode !== null || performance.now() > until) throw error
      await pause(20)
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}
