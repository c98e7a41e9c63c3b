import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'

/** Debian packages that some specs need, and how to see that one is there. */
const packages = {
  'openssh-server': { program: 'sshd' },
  'openssh-client': { program: 'ssh-keygen' },
  'nats-server': { program: 'nats-server' },
  sudo: { program: 'sudo' },
  'docker-compose': { program: 'docker-compose' },
  postgresql: { program: 'initdb' },
  /** Gives a user without a login shell one, for a program that is run with it. */
  'libnss-wrapper': { program: 'libnss_wrapper.so' },
} as const

export type DebianPackage = keyof typeof packages

const NEVER_ASK = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l' }
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** Path of the package's program or library, or undefined where the package is not installed. */
export function programOf(name: DebianPackage): string | undefined {
  const { program } = packages[name]
  if (name === 'libnss-wrapper')
    return libraryFolders()
      .map(folder => path.join(folder, program))
      .find(existsSync)
  const folders = name === 'postgresql' ? postgresFolders() : searchPath()
  return folders.map(folder => path.join(folder, program)).find(executable)
}

type Skippable = { plan(n: number, comment?: string): void }

/**
 * Path of the package's program; where it is missing the test is skipped with a visible reason and undefined is
 * returned. In CI as root, where it could have been installed, a missing one is an error instead.
 */
export function programOrSkip(t: Skippable, name: DebianPackage): string | undefined {
  const needed: DebianPackage[] = name === 'openssh-server' && !hasLoginShell() ? [name, 'libnss-wrapper'] : [name]
  const missing = needed.find(each => programOf(each) === undefined)
  if (missing === undefined) return programOf(name)
  if (process.env.CI === 'true' && isRoot()) throw new Error(`the Debian package ${missing} is needed in CI`)
  t.plan(0, `needs the Debian package ${missing}`)
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

/** False for accounts that nobody is meant to log in to, such as `nobody`. */
export const hasLoginShell = (): boolean => !/\/(?:nologin|false)$/.test(userInfo().shell ?? '')

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

// One folder for each kind of machine.
const libraryFolders = (): string[] =>
  existsSync('/usr/lib') ? readdirSync('/usr/lib').map(folder => path.join('/usr/lib', folder)) : []

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
