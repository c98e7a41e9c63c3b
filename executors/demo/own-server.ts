import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import ssh2, { type AuthContext, type Connection, type Server, type ServerChannel } from 'ssh2'
import type { DemoKeys, DemoServer } from '../demo-server.ts'

/** A small SSH server for machines without OpenSSH: one key, commands by /bin/sh, loopback. */
export async function startOwnServer(hosts: string[], keys: DemoKeys): Promise<DemoServer> {
  const children = new Set<ChildProcess>()
  const servers: Server[] = []
  let port = 0
  for (const host of hosts) {
    const server = new ssh2.Server({ hostKeys: [keys.host.private] }, client => serve(client, keys, children))
    server.listen(port, host)
    await once(server, 'listening')
    const address = server.address()
    // All hosts share the port that the first one got.
    if (address !== null && typeof address !== 'string') port = address.port
    servers.push(server)
  }
  const stop = async () => {
    for (const server of servers) server.close()
    for (const child of children) killGroup(child)
  }
  return { kind: 'own', port, stop }
}

function serve(client: Connection, keys: DemoKeys, children: Set<ChildProcess>): void {
  client.on('error', () => undefined)
  client.on('authentication', context => {
    if (lets(context, keys)) context.accept()
    else context.reject(['publickey'])
  })
  client.on('session', accept => {
    accept().on('exec', (acceptExec, _reject, { command }) => run(acceptExec(), command, children))
  })
}

function lets(context: AuthContext, keys: DemoKeys): boolean {
  if (context.method !== 'publickey' || context.username !== keys.username) return false
  const known = ssh2.utils.parseKey(keys.user.public)
  if (known instanceof Error || !context.key.data.equals(known.getPublicSSH())) return false
  // Without a signature the client only asks whether the key would do.
  if (!context.signature || !context.blob) return true
  return known.verify(context.blob, context.signature, context.hashAlgo) === true
}

function run(channel: ServerChannel, command: string, children: Set<ChildProcess>): void {
  // A session of its own, as OpenSSH gives it, so that what a command starts can be stopped together.
  const child = spawn('/bin/sh', ['-c', command], { detached: true, stdio: 'pipe' })
  children.add(child)
  channel.on('error', () => undefined)
  child.stdin.on('error', () => undefined)
  channel.pipe(child.stdin)
  child.stdout.pipe(channel, { end: false })
  child.stderr.pipe(channel.stderr, { end: false })
  child.on('close', (code, signal) => {
    children.delete(child)
    if (signal) channel.exit(signal.replace(/^SIG/, ''))
    else channel.exit(code ?? 0)
    channel.end()
  })
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
