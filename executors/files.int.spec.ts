import { createHash, randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { startExecutor, step } from '../test/support/executor.ts'
import { programOrSkip } from '../test/support/packages.ts'

const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex')
const put = (details: object, more: object = {}) => step('file.put', { mode: '0644', ...details }, more)
const get = (file: string, maxBytes = 1e9, more: object = {}) => step('file.get', { path: file, maxBytes }, more)

t.test('files go to a target and come from it', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, sshd } = await startExecutor(t)
  const folder = t.testdir()
  const at = (name: string) => path.join(folder, name)

  await t.test('content is written with its mode, and left alone when it is there', async t => {
    const content = "it's ü\n$HOME"
    const file = at("odd name's.conf")
    const first = await plane.report('succeed-step', run([put({ path: file, content, mode: '0640' })]))
    const expected = { sha256: sha256(content), bytes: Buffer.byteLength(content) }
    t.same(first.outputs, { changed: true, ...expected })
    t.equal(readFileSync(file, 'utf8'), content)
    t.equal(statSync(file).mode & 0o7777, 0o640)
    const before = statSync(file)
    const second = await plane.report('succeed-step', run([put({ path: file, content, mode: '0640' })]))
    t.same(second.outputs, { changed: false, ...expected })
    t.match(statSync(file), { ino: before.ino, mtimeMs: before.mtimeMs })
    const other = await plane.report('succeed-step', run([put({ path: file, content, mode: '0600' })]))
    t.match(other.outputs, { changed: true })
    t.equal(statSync(file).mode & 0o7777, 0o600)
    t.same(readdirSync(folder), [path.basename(file)], 'nothing is left beside')
  })

  await t.test('an empty file, and one whose name is as long as names may be', async t => {
    const file = at('n'.repeat(255))
    await plane.report('succeed-step', run([put({ path: file, content: '' })]))
    t.equal(readFileSync(file, 'utf8'), '')
  })

  await t.test('an artifact of many chunks, there and back', async t => {
    const whole = randomBytes(3_000_001)
    plane.artifacts.set(sha256(whole), whole)
    const file = at('large.bin')
    const done = await plane.report('succeed-step', run([put({ path: file, artifact: sha256(whole), mode: '0755' })]))
    t.match(done.outputs, { changed: true, bytes: whole.length })
    t.ok(readFileSync(file).equals(whole))
    plane.artifacts.clear()
    const fetched = await plane.report('succeed-step', run([get(file)]))
    t.same(fetched.outputs, { sha256: sha256(whole), bytes: whole.length })
    t.ok(plane.artifacts.get(sha256(whole))?.equals(whole))
    const missing = await plane.report('fail-step', run([put({ path: file, artifact: sha256('no such') })]))
    t.match(missing, { class: 'file-transfer', detail: /there is no such artifact/ })
  })

  await t.test('a link is replaced, what it leads to is not', async t => {
    writeFileSync(at('real'), 'real')
    symlinkSync(at('real'), at('link'))
    await plane.report('succeed-step', run([put({ path: at('link'), content: 'real' })]))
    t.ok(lstatSync(at('link')).isFile())
    t.equal(readFileSync(at('real'), 'utf8'), 'real')
  })

  await t.test('what cannot be written leaves nothing behind', async t => {
    t.match(await plane.report('fail-step', run([put({ path: at('no/such/folder'), content: 'x' })])), {
      class: 'file-transfer',
      detail: /No such file/,
    })
    mkdirSync(at('taken'))
    const taken = await plane.report('fail-step', run([put({ path: at('taken'), content: 'x' })]))
    t.match(taken, { class: 'file-transfer' })
    const refused = put({ path: at('file'), content: 'x', owner: 'no-such-user' })
    t.match(await plane.report('fail-step', run([refused])), { class: 'file-transfer', detail: /the owner/ })
    t.notOk(existsSync(at('file')))
    t.notOk(readdirSync(folder).some(name => name.includes('.opsc-')))
  })

  await t.test('paths that are not used', async t => {
    for (const bad of ['/a/../b', '/a/b/..', '/a\nb', '/a/', '/a/.']) {
      const failed = await plane.report('fail-step', run([put({ path: bad, content: 'x' })]))
      t.match(failed, { class: 'invalid-template' }, JSON.stringify(bad))
    }
    t.match(await plane.report('fail-step', run([get(`${folder}/../x`)])), { class: 'invalid-template' })
  })

  await t.test('the owner is set', async t => {
    if (process.getuid?.() !== 0) return t.plan(0, 'needs root')
    const owned = put({ path: at('owned'), content: 'x', owner: 'nobody', mode: '4755' })
    t.match((await plane.report('succeed-step', run([owned]))).outputs, { changed: true })
    t.not(statSync(at('owned')).uid, 0)
    t.equal(statSync(at('owned')).mode & 0o7777, 0o4755, 'a change of owner takes no permission away')
    t.match((await plane.report('succeed-step', run([owned]))).outputs, { changed: false })
    const back = put({ path: at('owned'), content: 'x', owner: 'root:root', mode: '4755' })
    t.match((await plane.report('succeed-step', run([back]))).outputs, { changed: true })
    t.equal(statSync(at('owned')).uid, 0)
  })

  await t.test('only regular files of bounded length are fetched', async t => {
    t.match(await plane.report('fail-step', run([get(folder)])), { class: 'file-transfer', detail: /regular|Failure/ })
    t.match(await plane.report('fail-step', run([get('/dev/zero')])), { detail: /only regular files/ })
    writeFileSync(at('five'), 'fives')
    t.match(await plane.report('fail-step', run([get(at('five'), 4)])), { detail: /longer than 4 bytes/ })
    t.match((await plane.report('succeed-step', run([get(at('five'), 5)]))).outputs, { bytes: 5 })
    t.match(await plane.report('fail-step', run([get(at('missing'))])), { detail: /No such file/ })
  })

  await t.test('where no program tells a digest the file itself is read back', async t => {
    const bare = await startExecutor(t, { sshd: { config: ['SetEnv PATH=/nonexistent SHLVL=2'] } })
    const file = at('read-back')
    const of = bare.run([put({ path: file, content: 'x'.repeat(100_000) }), get(file, 1e6, { id: 'back' })])
    await bare.plane.until(() => bare.plane.reports.filter(m => m.report.type === 'succeed-step').length === 2, 'both')
    t.equal(bare.plane.reports.filter(m => m.report.data.runId === of.runId).length, 4)
    t.equal(readFileSync(file).length, 100_000)
  })

  await t.test('a server that cannot replace a file in one step', async t => {
    const config = ['Subsystem sftp internal-sftp -P posix-rename,fsync']
    const plain = await startExecutor(t, { sshd: { config } })
    const file = at('plain')
    const first = await plain.plane.report('succeed-step', plain.run([put({ path: file, content: 'one' })]))
    t.match(first.outputs, { changed: true })
    const second = await plain.plane.report('fail-step', plain.run([put({ path: file, content: 'two' })]))
    t.match(second, { class: 'file-transfer', detail: /cannot replace a file in one step/ })
    t.equal(readFileSync(file, 'utf8'), 'one')
    t.notOk(readdirSync(folder).some(name => name.includes('.opsc-')))
    const none = await startExecutor(t, { sshd: { config: ['Subsystem other /bin/false'] } })
    const failed = await none.plane.report('fail-step', none.run([put({ path: file, content: 'two' })]))
    t.match(failed, { class: 'file-transfer', detail: /offers no file transfer/ })
  })

  const onceAt = (wanted: number, act: () => void) => {
    plane.onArtifactChunk = index => {
      if (index !== wanted) return
      plane.onArtifactChunk = () => undefined
      act()
    }
  }
  const besides = () => readdirSync(folder).filter(name => name.includes('.opsc-'))
  const whole = randomBytes(10_000_000)

  await t.test('a lost connection is opened again and the transfer goes on where it was', async t => {
    plane.artifacts.set(sha256(whole), whole)
    const file = at('resumed.bin')
    const logins = () => sshd.log().match(/Accepted publickey/g)?.length ?? 0
    const before = logins()
    onceAt(10, () => sshd.killSessions())
    const of = run([put({ path: file, artifact: sha256(whole) })])
    t.match((await plane.report('succeed-step', of)).outputs, { changed: true, bytes: whole.length })
    t.ok(readFileSync(file).equals(whole))
    t.equal(logins(), before + 1)
    t.same(besides(), [])
    plane.artifacts.clear()
    onceAt(10, () => sshd.killSessions())
    t.match((await plane.report('succeed-step', run([get(file)]))).outputs, { sha256: sha256(whole) })
    t.equal(logins(), before + 2)
    t.ok(plane.artifacts.get(sha256(whole))?.equals(whole))
  })

  await t.test('a transfer that is stopped leaves the file as it was', async t => {
    plane.artifacts.set(sha256(whole), whole)
    const file = at('stopped.bin')
    writeFileSync(file, 'before')
    const of = run([put({ path: file, artifact: sha256(whole) })])
    onceAt(10, () => plane.cancel(of))
    t.match(await plane.report('report-cancelled', of), { termination: 'terminated', stepId: 'do' })
    t.same(besides(), [])
    const stuck = run([put({ path: file, artifact: sha256(whole) })])
    let resume: (() => void) | undefined
    onceAt(10, () => {
      resume = sshd.pauseSessions().resume
      plane.cancel(stuck)
    })
    const told = await plane.report('report-cancelled', stuck)
    t.match(told, { termination: 'unconfirmed', detail: /\.opsc-[0-9a-f]{16} may be left$/ })
    t.equal(besides().length, 1)
    resume?.()
    t.equal(readFileSync(file, 'utf8'), 'before')
  })

  await t.test('a file that changes while it is fetched is not taken for the file', async t => {
    const file = at('changing')
    writeFileSync(file, whole)
    onceAt(10, () => writeFileSync(file, 'x', { flag: 'r+' }))
    const failed = await plane.report('fail-step', run([get(file)]))
    t.match(failed, { class: 'file-transfer', detail: /may have changed/ })
  })
})
