import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { isRoot } from '../../../test/support/process.ts'
import { installedPackage, postgresBinaries } from './binaries.ts'
import { type Owner, reachable } from './owner.ts'

const NOBODY = { uid: 65_534, gid: 65_534 }
const owner: Owner = isRoot ? NOBODY : undefined

function folder(t: Test): string {
  const made = mkdtempSync(path.join(tmpdir(), 'opsc-bin-'))
  t.teardown(() => {
    chmodSync(path.join(made), 0o755)
    spawnSync('chmod', ['-R', 'u+w', made])
    rmSync(made, { recursive: true, force: true })
  })
  return made
}

/** The package as an install with --ignore-scripts leaves it: without links. */
function install(into: string): { native: string; version: string } {
  const { native, version } = installedPackage()
  const copy = path.join(into, 'native')
  cpSync(native, copy, { recursive: true, filter: file => !lstatSync(file).isSymbolicLink() })
  return { native: copy, version }
}

function versionSaid(binDir: string): string {
  const { stdout, stderr } = spawnSync(path.join(binDir, 'postgres'), ['--version'], { ...owner, encoding: 'utf8' })
  return stdout + stderr
}

t.test('links that the install left out are made where the package lies', async t => {
  const home = folder(t)
  chmodSync(home, 0o755)
  const installed = install(home)
  t.match(versionSaid(path.join(installed.native, 'bin')), /cannot open shared object/, 'without links it cannot run')
  const binDir = postgresBinaries(folder(t), owner, installed)
  t.equal(binDir, path.join(installed.native, 'bin'))
  t.match(versionSaid(binDir), /PostgreSQL/)
})

t.test('a package that the server cannot reach or that lacks links and is read-only is copied, once', async t => {
  const home = folder(t)
  const installed = install(home)
  if (isRoot) chmodSync(home, 0o700)
  else chmodSync(path.join(installed.native, 'lib'), 0o500)
  chmodSync(path.join(installed.native, 'bin'), 0o700)
  const dataDir = folder(t)
  chmodSync(dataDir, 0o755)
  const binDir = postgresBinaries(dataDir, owner, installed)
  t.equal(path.dirname(path.dirname(binDir)), dataDir)
  t.match(versionSaid(binDir), /PostgreSQL/)
  const madeAt = statSync(binDir).ctimeMs
  t.equal(postgresBinaries(dataDir, owner, installed), binDir)
  t.equal(statSync(binDir).ctimeMs, madeAt)
  t.same(readdirSync(dataDir).length, 1, 'nothing half made is left')
})

t.test('a copy that belongs to somebody else is not trusted', { skip: !isRoot && 'needs root' }, async t => {
  const home = folder(t)
  const installed = install(home)
  const dataDir = folder(t)
  chmodSync(dataDir, 0o755)
  const theirs = path.join(dataDir, `postgres-binaries-${installed.version}`)
  mkdirSync(theirs)
  spawnSync('chown', ['65534', theirs])
  t.throws(() => postgresBinaries(dataDir, owner, installed), /belongs to somebody else/)
})

t.test(
  'a folder is reachable when every folder above it lets the account through',
  { skip: !isRoot && 'needs root' },
  async t => {
    const home = folder(t)
    const inner = path.join(home, 'a/b')
    mkdirSync(inner, { recursive: true })
    t.equal(reachable(inner, undefined), true)
    t.equal(reachable(inner, NOBODY), false, 'the temporary folder is ours alone')
    chmodSync(home, 0o755)
    t.equal(reachable(inner, NOBODY), true)
    chmodSync(path.join(home, 'a'), 0o700)
    t.equal(reachable(inner, NOBODY), false)
    spawnSync('chown', ['65534', path.join(home, 'a')])
    t.equal(reachable(inner, NOBODY), true, 'its own folder')
  },
)
