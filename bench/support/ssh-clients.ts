import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Sshd } from '../../test/support/sshd.ts'

const AT_ONCE = 64
const LIMIT_MS = 600_000

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
    /** As it comes, but for 50 at once; `raw` runs the command as it is, `command` by a module sent to the target. */
    ansible: (hosts: string[], module: 'raw' | 'command') =>
      timed('env', [
        ...['LC_ALL=C.UTF-8', `ANSIBLE_LOCAL_TEMP=${controlFolder}`, `ANSIBLE_SSH_CONTROL_PATH_DIR=${controlFolder}`],
        ...['ANSIBLE_NOCOLOR=1', 'ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3', 'ansible', 'all', '-i', `${hosts},`],
        ...['-u', sshd.username, '--ssh-extra-args', options.join(' '), '-f', '50', '-m', module, '-a', 'hostname'],
      ]),
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

const PACKAGES = { clush: 'clustershell', ssh: 'openssh-client', ansible: 'ansible-core' }

/** Installs what the comparison needs where that is allowed. Throws when it is missing and cannot be installed. */
export function needClients(): void {
  const missing = () => Object.keys(PACKAGES).filter(program => !existsSync(`/usr/bin/${program}`))
  if (missing().length === 0) return
  const packages = Object.values(PACKAGES)
  spawnSync('apt-get', ['-qq', 'update'], { stdio: 'ignore' })
  spawnSync('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', ...packages], { stdio: 'ignore' })
  if (missing().length > 0) throw new Error(`this bench needs the Debian packages ${packages.join(', ')}`)
}
