import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { asOrdinaryUser, until } from './support/process.ts'

const root = process.cwd()
const tools = realpathSync(path.join(root, 'node_modules'))

// A checkout in miniature: our bootstrap, one source, the compiler, and a package to install from a file.
const ENTRY = `export async function main(argv: string[]): Promise<void> {
  console.log('ran', argv.join(' '))
}
`
const PACKAGE = { name: 'mini', version: '1.0.0', type: 'module' }

function checkout(t: Test): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-boot-'))
  t.teardown(() => {
    chmodSync(folder, 0o755)
    rmSync(folder, { recursive: true, force: true })
  })
  chmodSync(folder, 0o755)
  cpSync(path.join(root, 'bin'), path.join(folder, 'bin'), { recursive: true })
  cpSync(path.join(root, 'tsconfig.json'), path.join(folder, 'tsconfig.json'))
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(PACKAGE))
  writeFileSync(path.join(folder, 'opsconductor.ts'), ENTRY)
  lock(folder, {})
  return folder
}

function lock(folder: string, packages: object): void {
  const content = {
    name: 'mini',
    version: '1.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: { '': PACKAGE, ...packages },
  }
  writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify(content))
}

/** As after an install: the record npm leaves, and the compiler. */
function installed(folder: string): void {
  mkdirSync(path.join(folder, 'node_modules/@types'), { recursive: true })
  writeFileSync(path.join(folder, 'node_modules/.package-lock.json'), '{"packages":{}}')
  for (const name of ['typescript', '@types/node', 'undici-types']) {
    symlinkSync(path.join(tools, name), path.join(folder, 'node_modules', name))
  }
}

function boot(folder: string, { command = [process.execPath, 'bin/bootstrap.mjs'], args = ['up'] } = {}) {
  const [program = '', ...before] = command
  const env = { ...process.env, npm_config_cache: path.join(folder, '.npm') }
  const { status, stdout, stderr } = spawnSync(program, [...before, ...args], { cwd: folder, encoding: 'utf8', env })
  return { status, stdout, stderr }
}

/** The file is changed later than anything built so far. */
function change(file: string, content: string): void {
  writeFileSync(file, content)
  const later = new Date(Date.now() + 2_000)
  utimesSync(file, later, later)
}

t.test('it builds what is missing or changed, and only that', async t => {
  const folder = checkout(t)
  installed(folder)
  writeFileSync(path.join(folder, 'extra.ts'), 'export const extra = 1\n')
  const first = boot(folder, { args: ['up', '--now'] })
  t.match(first, { status: 0, stdout: 'ran up --now\n', stderr: /Building …\nBuilt in/ })
  t.match(boot(folder), { status: 0, stdout: 'ran up\n', stderr: '' })

  rmSync(path.join(folder, 'extra.ts'))
  t.match(boot(folder).stderr, /Building/)
  t.notOk(existsSync(path.join(folder, 'build/extra.js')), 'what its source left behind is gone')

  change(path.join(folder, 'opsconductor.ts'), ENTRY.replace('ran', 'walked'))
  t.match(boot(folder), { stdout: 'walked up\n' })
  t.match(boot(folder, { args: ['check'] }), { status: 1, stderr: /"check" is not part of this version/ })
})

/** The bootstrap as `boot` runs it, without waiting for its end. */
function booting(folder: string) {
  const child = spawn(process.execPath, ['bin/bootstrap.mjs', 'up'], { cwd: folder })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', text => {
    said.stdout += text
  })
  child.stderr.on('data', text => {
    said.stderr += text
  })
  return { said, ended: once(child, 'close').then(([status]) => ({ status, ...said })) }
}

t.test('two first commands at the same time do the work once', async t => {
  const folder = checkout(t)
  installed(folder)
  const both = await Promise.all([booting(folder).ended, booting(folder).ended, booting(folder).ended])
  for (const each of both) t.match(each, { status: 0, stdout: 'ran up\n' })
  t.equal(both.filter(({ stderr }) => /^Building/m.test(stderr)).length, 1)
  t.notOk(existsSync(path.join(folder, '.preparing')))
})

t.test('a command that finds another one at work says so and waits, but not for one that is gone', async t => {
  const folder = checkout(t)
  installed(folder)
  const lock = path.join(folder, '.preparing')
  const stat = readFileSync(`/proc/${process.pid}/stat`, 'utf8')
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  writeFileSync(lock, `${process.pid} ${started}`)
  const { said, ended } = booting(folder)
  await until('it says that it waits', () => said.stderr.includes('waiting'))
  t.equal(said.stderr, `Another command (process ${process.pid}) is installing or building, waiting for it …\n`)
  rmSync(lock)
  t.match(await ended, { status: 0, stdout: 'ran up\n', stderr: /Built in/ })

  const gone = spawnSync(process.execPath, ['-e', '']).pid
  for (const [what, content] of [
    ['a process that is gone', `${gone} 12345`],
    ['another process of the same number', `${process.pid} 1`],
    ['nobody, long ago', ''],
  ] as const) {
    rmSync(path.join(folder, 'build'), { recursive: true })
    writeFileSync(lock, content)
    utimesSync(lock, new Date(0), new Date(0))
    const { status, stderr } = boot(folder)
    t.match({ status, stderr }, { status: 0, stderr: /^Building/ }, what)
    t.notOk(existsSync(lock))
  }
})

t.test('a build that fails is not taken for one that is done', async t => {
  const folder = checkout(t)
  installed(folder)
  change(path.join(folder, 'opsconductor.ts'), `${ENTRY}const wrong: = 'text'\n`)
  for (const attempt of [1, 2]) {
    const { status, stdout, stderr } = boot(folder)
    t.equal(status, 1, `attempt ${attempt}`)
    t.match(stdout + stderr, /opsconductor\.ts\(\d+,\d+\): error TS1110.*The build failed; see above/s)
  }
  writeFileSync(path.join(folder, 'opsconductor.ts'), ENTRY)
  t.match(boot(folder), { status: 0, stdout: 'ran up\n' })
})

t.test('a folder that cannot be written to is named, with what to do', async t => {
  const folder = checkout(t)
  chmodSync(folder, 0o555)
  // Without the instruments of the test runner, which would want to write to our folder as somebody else.
  const plain = ['env', '-u', 'NODE_OPTIONS', process.execPath, 'bin/bootstrap.mjs']
  const { status, stderr } = boot(folder, { command: asOrdinaryUser(plain) })
  t.equal(status, 1)
  t.match(stderr, /cannot be written to, and the packages it needs must be installed in it/)
  t.notMatch(stderr, / {4}at /)
})

t.test('an old Node is told so', async t => {
  const folder = checkout(t)
  const old = path.join(folder, 'old.mjs')
  for (const [version, refused] of [
    ['18.20.0', true],
    ['20.18.3', true],
    ['20.19.0', false],
  ] as const) {
    writeFileSync(old, `Object.defineProperty(process.versions, 'node', { value: '${version}' })\n`)
    const command = [process.execPath, '--import', old, 'bin/bootstrap.mjs']
    const { stderr } = boot(folder, { command })
    const told = `OpsConductor needs Node 20.19 or newer; this is Node ${version}.`
    t.equal(stderr.includes(told), refused, version)
  }
})

type Alone = (why: string, work: () => Promise<void>) => Promise<void>
type Install = (root: string, say: (line: string) => void, alone: Alone) => Promise<void>

async function install(folder: string): Promise<string[]> {
  // The bootstrap is plain JavaScript and has no types.
  const { installIfNeeded }: { installIfNeeded: Install } = await import(path.join(root, 'bin/install.mjs'))
  const said: string[] = []
  const remember = (line: string) => line.startsWith(' ') || said.push(line)
  await installIfNeeded(folder, remember, (_why, work) => work())
  return said
}

function localPackage(folder: string, version: string): object {
  const source = mkdtempSync(path.join(folder, 'source-'))
  writeFileSync(path.join(source, 'package.json'), JSON.stringify({ name: 'dep', version }))
  spawnSync('npm', ['pack', '--pack-destination', folder], { cwd: source })
  const file = `dep-${version}.tgz`
  const integrity = createHash('sha512')
    .update(readFileSync(path.join(folder, file)))
    .digest('base64')
  return { version, resolved: `file:${file}`, integrity: `sha512-${integrity}` }
}

function wants(folder: string, dep: { version?: string }): void {
  const dependencies = { dep: `file:dep-${dep.version}.tgz` }
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ ...PACKAGE, dependencies }))
  lock(folder, { '': { ...PACKAGE, dependencies }, 'node_modules/dep': dep })
}

t.test('it installs what the lock file asks for, once', async t => {
  const folder = checkout(t)
  const version = () => JSON.parse(readFileSync(path.join(folder, 'node_modules/dep/package.json'), 'utf8')).version
  wants(folder, localPackage(folder, '1.0.0'))
  t.match(await install(folder), [/^Installing 1 packages/, /^Installed in/])
  t.equal(version(), '1.0.0')
  t.same(await install(folder), [])

  wants(folder, localPackage(folder, '2.0.0'))
  t.match(await install(folder), [/^Installing/, /^Installed/], 'a changed lock file installs again')
  t.equal(version(), '2.0.0')

  rmSync(path.join(folder, 'node_modules/.package-lock.json'))
  t.match(await install(folder), [/^Installing/, /^Installed/], 'and so does an install that was cut short')
})

t.test('a registry that cannot be reached is told in plain words', async t => {
  const folder = checkout(t)
  const resolved = 'https://127.0.0.1:1/dep-1.0.0.tgz'
  const integrity = `sha512-${Buffer.alloc(64).toString('base64')}`
  const dependencies = { dep: '1.0.0' }
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ ...PACKAGE, dependencies }))
  lock(folder, { '': { ...PACKAGE, dependencies }, 'node_modules/dep': { version: '1.0.0', resolved, integrity } })
  await t.rejects(install(folder), {
    name: 'PlainError',
    message: /the package registry cannot be reached.*\nCheck the network/,
  })
})
