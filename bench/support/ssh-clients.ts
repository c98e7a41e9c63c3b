import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Sshd } from '../../test/support/sshd.ts'

const AT_ONCE = 64
const LIMIT_MS = 180_000

export type Timed = { milliseconds: number; cpuSeconds: number; ok: number }

/** The peers of the fan-out: ClusterShell and plain ssh under xargs, with the options that make the comparison fair. */
export function sshClients(sshd: Sshd, controlFolder: string) {
  const options = [
    '-F/dev/null',
    `-oIdentityFile=${sshd.privateKeyFile}`,
    ...['IdentitiesOnly=yes', 'BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'].map(
      o => `-o${o}`,
    ),
    // OpenSSH's default exchange costs its client many times more CPU: without this the comparison would flatter us.
    '-oKexAlgorithms=curve25519-sha256',
    '-oLogLevel=ERROR',
    `-p${sshd.port}`,
  ]
  const persist = ['-oControlMaster=auto', `-oControlPath=${path.join(controlFolder, '%h')}`, '-oControlPersist=60']
  const clush = (hosts: string[], extra: string[] = []) =>
    timed('clush', [
      '-f',
      String(AT_ONCE),
      '-l',
      sshd.username,
      '-o',
      [...options, ...extra].join(' ').replaceAll('%', '%%'),
      '-w',
      hosts.join(','),
      'hostname',
    ])
  return {
    clush: (hosts: string[]) => clush(hosts),
    /** Over connections that are open already: the first call opens them. */
    clushPersistent: (hosts: string[]) => clush(hosts, persist),
    xargs: (hosts: string[]) =>
      timed(
        'xargs',
        ['-P', String(AT_ONCE), '-I{}', 'ssh', ...options, `${sshd.username}@{}`, 'hostname'],
        hosts.join('\n'),
      ),
    closePersistent(hosts: string[]): void {
      for (const host of hosts) spawnSync('ssh', [...options, ...persist, '-Oexit', host], { stdio: 'ignore' })
    },
  }
}

/** Runs a peer under bash's `time`, which counts the CPU of its children too. */
function timed(program: string, args: string[], input = ''): Timed {
  const began = performance.now()
  const script = 'TIMEFORMAT="cpu %U %S"; time "$@"'
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'bash', program, ...args], {
    input,
    encoding: 'utf8',
    timeout: LIMIT_MS,
    maxBuffer: 64 << 20,
  })
  const milliseconds = performance.now() - began
  const [, user, system] = /cpu ([\d.]+) ([\d.]+)/.exec(stderr) ?? []
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr.slice(0, 500)}`)
  return { milliseconds, cpuSeconds: Number(user) + Number(system), ok: stdout.trim().split('\n').length }
}

/** Installs what the comparison needs where that is allowed. Throws when it is missing and cannot be installed. */
export function needClients(): void {
  const missing = ['clush', 'ssh'].filter(program => !existsSync(`/usr/bin/${program}`))
  if (missing.length === 0) return
  spawnSync('apt-get', ['-qq', 'update'], { stdio: 'ignore' })
  spawnSync('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', 'clustershell', 'openssh-client'], {
    stdio: 'ignore',
  })
  if (!existsSync('/usr/bin/clush'))
    throw new Error('this bench needs the Debian packages clustershell and openssh-client')
}
