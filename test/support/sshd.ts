import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { loginShellEnv } from './login-shell.ts'
import { programOf } from './packages.ts'
import { descendants, programName, withEnvironment } from './process-tree.ts'

export type SshdOptions = {
  /** Loopback addresses to listen on, all at one port. Default 127.0.0.1; sixteen share a server process. */
  addresses?: string[]
  /** Types of the host keys. Default ed25519 alone. */
  hostKeyTypes?: Array<'ed25519' | 'ecdsa' | 'rsa'>
  maxSessions?: number
  /** Further lines of sshd_config. */
  config?: string[]
  /** Words of a command that runs sshd in surroundings of its own. */
  within?: string[]
  /** Who logs in, when not the user this runs as. */
  username?: string
}

export type Sshd = {
  host: string
  port: number
  username: string
  /** OpenSSH PEM of the one key that may log in, and the file it is in (mode 0600). */
  privateKey: string
  privateKeyFile: string
  /** `<type> <base64>` of the first host key, and of all of them. */
  hostKey: string
  hostKeys: string[]
  /** Everything the servers wrote so far: a login is a line with `Accepted publickey`. */
  log(): string
  /** Ends the server and every session of it. */
  stop(): Promise<void>
  /** On the same port, with new host keys when asked. */
  restart(options?: { newHostKeys?: boolean }): Promise<void>
  /** Kills the server side of every open session, as a crash or a reboot would; the server goes on. */
  killSessions(): void
  /** Stops the server side of every open session without a word, as a cut line does. */
  pauseSessions(): { resume(): void }
}

type Test = { teardown(handler: () => Promise<void>): unknown }

const LISTEN_SOCKETS = 16

/**
 * Starts a real OpenSSH server on loopback as this user, with its own host keys and one ed25519 login key. It ends,
 * with all its sessions, when the test does. A test that can go without asks `programOrSkip(t, 'openssh-server')` first.
 */
export async function startSshd(t: Test, options: SshdOptions = {}): Promise<Sshd> {
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-sshd-'))
  const addresses = options.addresses ?? ['127.0.0.1']
  const types = options.hostKeyTypes ?? ['ed25519']
  const file = (name: string) => path.join(folder, name)
  const makeHostKeys = () => types.map(type => makeKey(file(`host_${type}`), type))
  makeKey(file('user'), 'ed25519')
  writeFileSync(file('authorized_keys'), readFileSync(file('user.pub')), { mode: options.username ? 0o644 : 0o600 })
  // The server reads it as whoever logs in.
  if (options.username) chmodSync(folder, 0o755)
  let hostKeys = makeHostKeys()
  let servers: ChildProcess[] = []
  const port = await freePort()
  const start = async () => {
    servers = await launchAll(folder, addresses, port, types, options)
  }
  const stop = async () => {
    await Promise.all(servers.map(endTree))
    servers = []
  }
  // A session may be two processes of the server; what it was asked to run is none of them.
  const isServer = (pid: number) => programName(pid)?.startsWith('sshd')
  const sessions = () => servers.flatMap(server => descendants(server.pid ?? 0)).filter(isServer)
  t.teardown(async () => {
    await stop()
    // What was run over SSH may have outlived its session, and is then nobody's child any more.
    for (const pid of withEnvironment(markOf(folder))) kill(pid, 'SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  await start()
  return {
    host: addresses[0] ?? '127.0.0.1',
    port,
    username: options.username ?? userInfo().username,
    privateKey: readFileSync(file('user'), 'utf8'),
    privateKeyFile: file('user'),
    get hostKey() {
      return hostKeys[0] ?? ''
    },
    get hostKeys() {
      return hostKeys
    },
    log: () => addresses.map((_, group) => read(file(`log.${group}`))).join(''),
    stop,
    restart: async ({ newHostKeys = false } = {}) => {
      await stop()
      if (newHostKeys) hostKeys = makeHostKeys()
      await start()
    },
    killSessions: () => {
      for (const pid of sessions()) kill(pid, 'SIGKILL')
    },
    pauseSessions: () => {
      const paused = sessions()
      for (const pid of paused) kill(pid, 'SIGSTOP')
      return {
        resume: () => {
          for (const pid of paused) kill(pid, 'SIGCONT')
        },
      }
    },
  }
}

/** By this in its environment is known what was run over this server. */
const markOf = (folder: string) => `OPSCONDUCTOR_SPEC_SSHD=${path.basename(folder)}`

async function launchAll(
  folder: string,
  addresses: string[],
  port: number,
  types: string[],
  options: SshdOptions,
): Promise<ChildProcess[]> {
  const groups = Math.ceil(addresses.length / LISTEN_SOCKETS)
  const launches = Array.from({ length: groups }, (_, group) => {
    const share = addresses.slice(group * LISTEN_SOCKETS, (group + 1) * LISTEN_SOCKETS)
    const config = path.join(folder, `sshd_config.${group}`)
    writeFileSync(config, configuration(folder, share, port, types, options))
    return launch(config, path.join(folder, `log.${group}`), share.length, options.within ?? [])
  })
  return await Promise.all(launches)
}

function configuration(folder: string, addresses: string[], port: number, types: string[], options: SshdOptions) {
  return [
    // First: of two lines that say different things the earlier one counts.
    ...(options.config ?? []),
    `Port ${port}`,
    ...addresses.map(address => `ListenAddress ${address}`),
    ...types.map(type => `HostKey ${folder}/host_${type}`),
    `AuthorizedKeysFile ${folder}/authorized_keys`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'UseDNS no',
    'PermitRootLogin yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PrintMotd no',
    'PrintLastLog no',
    // bash reads ~/.bashrc for a command over SSH unless it is told that it is nested: what a user keeps there may
    // take longer than the command, and is none of a spec's business.
    `SetEnv SHLVL=2 ${markOf(folder)}`,
    'MaxStartups 2000:30:4000',
    `MaxSessions ${options.maxSessions ?? 10}`,
    ...(options.config?.some(line => line.startsWith('Subsystem ')) ? [] : ['Subsystem sftp internal-sftp']),
    '',
  ].join('\n')
}

async function launch(config: string, log: string, sockets: number, within: string[]): Promise<ChildProcess> {
  const sshd = programOf('openssh-server')
  if (!sshd) throw new Error('sshd is missing: it is in the Debian package openssh-server')
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  // Sessions lose their stderr, so what they log only comes through a file.
  const flags = ['-D', '-E', log, '-f', config, ...withoutPenalties(sshd, config)]
  const before = read(log).length
  const [program = sshd, ...rest] = [...within, sshd, ...flags]
  const env = { ...process.env, ...loginShellEnv(path.dirname(config)) }
  const child = spawn(program, rest, { stdio: 'ignore', env })
  const gaveUp = Date.now() + 10_000
  for (;;) {
    const said = read(log).slice(before)
    if ((said.match(/Server listening on/g)?.length ?? 0) >= sockets) return child
    if (child.exitCode !== null || Date.now() > gaveUp) throw new Error(`sshd did not start: ${said}`)
    await delay(5)
  }
}

const read = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : '')

// From OpenSSH 9.8 on, failed logins make the server turn an address away for a while; older ones know no such option.
function withoutPenalties(sshd: string, config: string): string[] {
  const flags = ['-o', 'PerSourcePenalties=no']
  return spawnSync(sshd, ['-t', '-f', config, ...flags]).status === 0 ? flags : []
}

function makeKey(file: string, type: string): string {
  rmSync(file, { force: true })
  rmSync(`${file}.pub`, { force: true })
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'spec', '-f', file])
  return readFileSync(`${file}.pub`, 'utf8').split(' ').slice(0, 2).join(' ')
}

// Sessions are processes of their own session: they outlive the server unless they are ended by pid.
async function endTree(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const gone = once(server, 'exit')
  const family = descendants(server.pid ?? 0)
  server.kill('SIGTERM')
  await gone
  for (const pid of family) kill(pid, 'SIGKILL')
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}
