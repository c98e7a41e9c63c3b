import t from 'tap'
import { readiness, sharedReadiness, startHealthServer } from './health.ts'

t.test('checks that reject are a failed check, with the reason', async t => {
  const state = await readiness(() => Promise.reject(new Error('Postgres is asleep')))
  t.same(state, { ready: false, checks: [{ name: 'readiness', ok: false, detail: 'Error: Postgres is asleep' }] })
})

t.test('checks that never answer are a failed check', async t => {
  const state = await readiness(() => new Promise(() => {}))
  t.match(state, { ready: false, checks: [{ name: 'readiness', detail: 'no answer in 2000 ms' }] })
})

t.test('one failed check among good ones is not ready', async t => {
  const checks = [
    { name: 'log', ok: true },
    { name: 'rows', ok: false, detail: 'behind' },
  ]
  t.same(await readiness(() => checks), { ready: false, checks })
})

t.test('many who ask at once are told what was looked at once', async t => {
  let [asked, ok] = [0, true]
  let found = () => {}
  const look = sharedReadiness(() => {
    asked += 1
    return new Promise(resolve => {
      found = () => resolve([{ name: 'rows', ok }])
    })
  })
  const many = Promise.all(Array.from({ length: 100 }, look))
  await new Promise(setImmediate)
  found()
  t.same(new Set((await many).map(({ ready }) => ready)), new Set([true]))
  t.equal(asked, 1)
  ok = false
  const next = look()
  await new Promise(setImmediate)
  found()
  t.match(await next, { ready: false }, 'and nobody is told what was found before')
})

t.test('a taken address is refused', async t => {
  const first = await startHealthServer({ host: '127.0.0.1', port: 0 }, () => [])
  t.teardown(() => first.close())
  const port = Number(new URL(first.url).port)
  await t.rejects(
    startHealthServer({ host: '127.0.0.1', port }, () => []),
    { code: 'EADDRINUSE' },
  )
})
