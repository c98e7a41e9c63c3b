import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createKekFile, KekFileError, loadKekFile } from './kek-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'opsc-kek-'))
t.teardown(() => rmSync(dir, { recursive: true }))
const dataDir = join(dir, 'data')
const path = join(dir, 'data-keys', 'kek.json')
const now = '2030-01-01T00:00:00.000Z'
const key = Buffer.from([...Array(32).keys()]).toString('base64')

/** Writes a key file by hand and loads it. */
const loading = (content: unknown, mode = 0o600) => {
  const file = join(dir, 'by-hand.json')
  rmSync(file, { force: true })
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content), { mode })
  chmodSync(file, mode)
  return () => loadKekFile(file, { dataDir })
}

t.test('makes a random key for its owner alone, once', async t => {
  const id = createKekFile(path, { dataDir, now })
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(statSync(join(dir, 'data-keys')).mode & 0o777, 0o700)
  const keks = loadKekFile(path, { dataDir })
  t.equal(keks.active, id)
  t.equal(keks.keys.get(id)?.length, 32)
  const before = readFileSync(path, 'utf8')
  t.throws(() => createKekFile(path, { dataDir, now }), { name: 'KekFileError', message: /already/ })
  t.equal(readFileSync(path, 'utf8'), before)
})

t.test('two installations share no key', async t => {
  const other = join(dir, 'other-keys', 'kek.json')
  const id = createKekFile(other, { dataDir, now })
  const first = loadKekFile(path, { dataDir })
  t.not(id, first.active)
  t.notSame(loadKekFile(other, { dataDir }).keys.get(id), first.keys.get(first.active))
})

t.test('refuses to lie in the folder it protects, also behind a link', async t => {
  mkdirSync(dataDir)
  symlinkSync(dataDir, join(dir, 'link'))
  for (const inside of [join(dataDir, 'kek.json'), join(dataDir, 'deep/er/kek.json'), join(dir, 'link', 'kek.json')]) {
    t.throws(() => createKekFile(inside, { dataDir, now }), /must lie outside/, inside)
  }
  writeFileSync(join(dataDir, 'kek.json'), readFileSync(path), { mode: 0o600 })
  t.throws(() => loadKekFile(join(dataDir, 'kek.json'), { dataDir }), /must lie outside/)
  t.ok(createKekFile(join(dir, 'data..', 'kek.json'), { dataDir, now }), 'a name that only begins like it is outside')
})

t.test('refuses a missing, open, damaged or weak key file, and quotes no key', async t => {
  t.throws(() => loadKekFile(join(dir, 'none.json'), { dataDir }), /there is no key-encryption key file/)
  const good = { active: 'a', keks: [{ id: 'a', key, createdAt: now }] }
  t.equal(loading(good)().active, 'a')
  t.throws(loading(good, 0o640), /can be read by others/)
  t.throws(loading(good, 0o604), /can be read by others/)
  const filled = (byte: number, length = 32) => [
    { id: 'a', key: Buffer.alloc(length, byte).toString('base64'), createdAt: now },
  ]
  t.throws(loading({ ...good, keks: filled(0) }), /all its bytes are equal/)
  t.throws(loading({ ...good, keks: filled(7) }), /all its bytes are equal/)
  t.throws(loading({ ...good, keks: filled(7, 16) }), /has 16 bytes/)
  t.throws(loading({ ...good, active: 'b' }), /active key it does not hold/)
  t.throws(loading({ ...good, keks: [...good.keks, ...good.keks] }), /twice/)
  t.throws(loading({ ...good, keks: [] }), /look at keks/)
  t.throws(loading({ ...good, keks: [{ id: 'a', key: 'not base64!', createdAt: now }] }), /look at keks.0.key/)
  try {
    loading(`{"keks": "${key}`)()
    t.fail('damaged JSON was taken')
  } catch (err) {
    t.ok(err instanceof KekFileError)
    t.notMatch(String(err), key.slice(0, 8))
  }
})
