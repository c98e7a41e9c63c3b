import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { lockFile } from './folder-lock.ts'

t.test('a lock is held once and can be given back', async t => {
  const folder = t.testdir()
  const file = path.join(folder, 'lock')
  const unlock = lockFile(file)
  t.throws(() => lockFile(file), { name: 'FolderInUse', pid: process.pid, message: /in use by process \d+ \(.*lock\)/ })
  unlock()
  t.notOk(existsSync(file))
  lockFile(file)()
  t.same(readdirSync(folder), [], 'and leaves nothing behind')
})

t.test('the lock of a process that is gone is taken over', async t => {
  const file = path.join(t.testdir(), 'lock')
  const { pid } = spawnSync('true')
  writeFileSync(file, `${pid} 12345\n`)
  const unlock = lockFile(file)
  t.throws(() => lockFile(file), { name: 'FolderInUse' })
  unlock()
})

t.test('the lock of an earlier process with a pid that is in use again is taken over', async t => {
  const file = path.join(t.testdir(), 'lock')
  writeFileSync(file, `${process.pid} 1\n`)
  lockFile(file)()
  t.notOk(existsSync(file))
})

t.test('a file that says nothing is no lock', async t => {
  const file = path.join(t.testdir({ lock: '' }), 'lock')
  lockFile(file)()
  t.notOk(existsSync(file))
})

t.test("giving back does not take what is somebody else's by now", async t => {
  const file = path.join(t.testdir(), 'lock')
  const unlock = lockFile(file)
  writeFileSync(file, '1 1\n')
  unlock()
  t.ok(existsSync(file))
})

t.test('a folder that is not there is an error, not a free lock', async t => {
  t.throws(() => lockFile(path.join(t.testdir(), 'none/lock')), { code: 'ENOENT' })
})
