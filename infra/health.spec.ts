import t from 'tap'
import { readiness, startHealthServer } from './health.ts'

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

t.test('a taken address is refused', async t => {
  const first = await startHealthServer({ host: '127.0.0.1', port: 0 }, () => [])
  t.teardown(() => first.close())
  const port = Number(new URL(first.url).port)
  await t.rejects(
    startHealthServer({ host: '127.0.0.1', port }, () => []),
    { code: 'EADDRINUSE' },
  )
})
