import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync } from 'node:fs'
import path from 'node:path'

/** Debian packages that some specs need, and how to see that one is there. */
const packages = {
  'openssh-server': { program: 'sshd' },
  'openssh-client': { program: 'ssh-keygen' },
  'nats-server': { program: 'nats-server' },
  sudo: { program: 'sudo' },
  'docker-compose': { program: 'docker-compose' },
  postgresql: { program: 'initdb' },
} as const

export type DebianPackage = keyof typeof packages

const NEVER_ASK = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l' }
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** Path of the package's program, or undefined where the package is not installed. */
export function programOf(name: DebianPackage): string | undefined {
  const folders = name === 'postgresql' ? postgresFolders() : searchPath()
  return folders.map(folder => path.join(folder, packages[name].program)).find(executable)
}

type Skippable = { plan(n: number, comment?: string): void }

/**
 * Path of the package's program; where it is missing the test is skipped with a visible reason and undefined is
 * returned. In CI as root, where it could have been installed, a missing one is an error instead.
 */
export function programOrSkip(t: Skippable, name: DebianPackage): string | undefined {
  const program = programOf(name)
  if (program !== undefined) return program
  if (process.env.CI === 'true' && isRoot()) throw new Error(`the Debian package ${name} is needed in CI`)
  t.plan(0, `needs the Debian package ${name}`)
  return undefined
}

/** Installs the packages that are missing, where we may. Answers those that still are. */
export function installPackages(say: (line: string) => void): DebianPackage[] {
  // Object.keys forgets the literal names.
  const names = Object.keys(packages) as DebianPackage[]
  const missing = () => names.filter(name => programOf(name) === undefined)
  const wanted = missing()
  if (wanted.length === 0 || !isRoot() || !searchPath().some(folder => executable(path.join(folder, 'apt-get')))) {
    return wanted
  }
  say(`Installing Debian packages for the tests: ${wanted.join(', ')} …`)
  const install = () => aptGet('install', '-y', '--no-install-recommends', ...wanted)
  const failure = install() && (aptGet('update') ?? install())
  if (failure) say(`  apt-get failed: ${failure}`)
  return missing()
}

/** Undefined when it went well, else the end of what apt-get said. */
function aptGet(...args: string[]): string | undefined {
  const options = { encoding: 'utf8', timeout: 300_000, env: { ...process.env, ...NEVER_ASK } } as const
  const { status, stderr, error } = spawnSync('apt-get', ['-qq', ...args], options)
  return status === 0 ? undefined : (error?.message ?? stderr.trim().slice(-500))
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

function searchPath(): string[] {
  return [...(process.env.PATH ?? '').split(path.delimiter), ...SYSTEM_FOLDERS]
}

// Debian keeps one folder for each major version, outside the search path.
function postgresFolders(): string[] {
  const versions = '/usr/lib/postgresql'
  try {
    return readdirSync(versions).map(version => path.join(versions, version, 'bin'))
  } catch {
    return searchPath()
  }
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
