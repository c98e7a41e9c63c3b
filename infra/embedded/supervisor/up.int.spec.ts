import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import t from 'tap'
import { until } from '../../../test/support/process.ts'
import { descendants, isAlive } from '../../../test/support/process-tree.ts'
import { dataFolder, startSystem } from '../../../test/support/system.ts'

const args = ['--roles=vault']
const READY = /OpsConductor is ready/

t.test('it comes up in order, keeps to itself what is secret, restarts what dies, and goes down in order', async t => {
  const system = startSystem(t, { args })
  await system.printed(READY)
  const { roles, eventStoreUrl = '', natsUrls } = system.runtime()
  t.same(Object.keys(roles).sort(), ['broker', 'event-store-node', 'postgres', 'vault'])
  t.equal(statSync(path.join(system.dataDir, 'runtime.json')).mode & 0o777, 0o600)

  const secrets = [new URL(eventStoreUrl).password, new URL(natsUrls.vault ?? '').password]
  for (const pid of descendants(system.child.pid ?? 0)) {
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    for (const secret of secrets) t.notOk(commandLine.includes(secret), 'no secret on a command line')
  }
  for (const secret of secrets) t.notOk(system.output().includes(secret), 'no secret in the log')

  process.kill(roles.broker?.pid ?? 0, 'SIGKILL')
  process.kill(Number(roles.postgres?.endpoints.postmaster), 'SIGKILL')
  await until('both are back', () => {
    const { broker, postgres } = system.runtime().roles
    return broker?.restarts === 1 && postgres?.restarts === 1
  })
  const after = system.runtime().roles
  t.equal(after.broker?.endpoints.address, roles.broker?.endpoints.address, 'at the same address')
  t.equal(after.postgres?.endpoints.url, roles.postgres?.endpoints.url)
  t.equal(after.vault?.pid, roles.vault?.pid, 'and the others have stayed')
  const health = `${roles.vault?.endpoints.health}/health/ready`
  await until('the vault is ready again', async () => (await fetch(health)).ok)

  const second = await startSystem(t, { args, dataDir: system.dataDir }).ended
  t.equal(second.code, 2)
  t.match(second.output, /OpsConductor already runs on .* \(process \d+\)/)

  const everything = descendants(system.child.pid ?? 0)
  system.child.kill('SIGINT')
  const { code, output } = await system.ended
  t.equal(code, 0)
  t.ok(output.indexOf('vault stopping') < output.indexOf('postgres stopping'), 'who uses it stops before it')
  t.same(everything.filter(isAlive), [], 'nothing is left running')
  t.notOk(existsSync(path.join(system.dataDir, 'runtime.json')))
  t.notOk(existsSync(path.join(system.dataDir, 'supervisor.lock')))
})

t.test('a supervisor that is killed leaves no process, and the next start works on its data', async t => {
  const dataDir = dataFolder(t)
  const first = startSystem(t, { args, dataDir })
  await first.printed(READY)
  const everything = descendants(first.child.pid ?? 0)
  t.ok(everything.length > 8, 'roles, the postmaster and its backends')
  first.child.kill('SIGKILL')
  await until('all are gone', () => !everything.some(isAlive), 15_000)
  t.same(everything.filter(isAlive), [])

  const second = startSystem(t, { args, dataDir })
  await second.printed(READY)
  second.child.kill('SIGTERM')
  t.equal((await second.ended).code, 0)
})

t.test('a signal during the start stops what has been started', async t => {
  const system = startSystem(t, { args })
  await system.printed(/broker ready/)
  const everything = descendants(system.child.pid ?? 0)
  system.child.kill('SIGTERM')
  t.equal((await system.ended).code, 0)
  t.same(everything.filter(isAlive), [])
})

t.test('a role that cannot start ends everything, with its reason', async t => {
  const dataDir = dataFolder(t)
  mkdirSync(`${dataDir}-keys`)
  writeFileSync(`${dataDir}-keys/kek.json`, '{}')
  chmodSync(`${dataDir}-keys/kek.json`, 0o644)
  const { code, output } = await startSystem(t, { args, dataDir }).ended
  t.equal(code, 1)
  t.match(output, /kek\.json can be read by others than its owner: chmod 600 it/)
  t.match(output, /vault did not start: ended with code 1/)
})

t.test('mistakes are told in plain words, before anything is started', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const address = taken.address()
  const port = String(address && typeof address === 'object' ? address.port : 0)
  const blocked = path.join(t.testdir({ file: '' }), 'file')

  const told = async (options: Parameters<typeof startSystem>[1]) => {
    const { code, output } = await startSystem(t, options).ended
    t.equal(code, 2)
    t.notMatch(output, / {4}at /, 'no stack')
    return output
  }
  t.match(
    await told({ env: { OPSCONDUCTOR_PORT: port } }),
    new RegExp(`Port ${port} on 127.0.0.1 is in use.*\n.*OPSCONDUCTOR_PORT=`),
  )
  t.match(await told({ args: ['--roles=butler'] }), /there is no role butler/)
  t.match(await told({ args: ['--what'] }), /opsconductor up: .*--what/)
  t.match(
    await told({ dataDir: `${blocked}/data` }),
    /data folder .* cannot be used \(ENOTDIR\).*OPSCONDUCTOR_DATA_DIR/s,
  )
  t.match(
    await told({ env: { OPSCONDUCTOR_HOST: '192.0.2.1' } }),
    /192\.0\.2\.1 port 0 cannot be listened on \(EADDRNOTAVAIL\)/,
  )
  t.match(
    await told({ env: { OPSCONDUCTOR_PORT: 'x', OPSCONDUCTOR_POTR: '1' } }),
    /2 problem.*OPSCONDUCTOR_POTR.*OPSCONDUCTOR_PORT/s,
  )
})
