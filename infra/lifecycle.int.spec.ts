import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

const script = fileURLToPath(new URL('../test/support/role-process.js', import.meta.url))

type Role = {
  child: ChildProcess
  ready: Promise<{ endpoints: { answer: number; health: string } }>
  ended: Promise<End>
}
type End = { code: number | null; output: string }

function run(t: Test, behaviour: string, env: Record<string, string> = {}): Role {
  const child = spawn(process.execPath, [script, behaviour], {
    stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
    env: { ...process.env, READY_FD: '3', ...env },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout?.on('data', text => {
    output += text
  })
  const ended = once(child, 'close').then(([code]) => ({ code, output }))
  // The fourth descriptor is a pipe that the child writes to.
  const lines = createInterface(child.stdio[3] as Readable)
  const ready = once(lines, 'line').then(([line]) => JSON.parse(line))
  return { child, ready, ended }
}

const stagesOf = ({ output }: End) => output.match(/stage \w+/g) ?? []

t.test('a role says where it serves, answers for its health and stops stage by stage', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { child, ready, ended } = run(t, 'orderly')
    const { endpoints } = await ready
    t.equal(endpoints.answer, 42)
    const state = await fetch(`${endpoints.health}/health/ready`)
    t.same([state.status, await state.json()], [200, { ready: true, checks: [{ name: 'cellar', ok: true }] }])
    child.kill(signal)
    const end = await ended
    t.equal(end.code, 0)
    t.same(stagesOf(end), ['stage first', 'stage second'])
  }
})

t.test('a role that is not ready says so and still lives', async t => {
  const { child, ready, ended } = run(t, 'unready')
  const { health } = (await ready).endpoints
  const readiness = await fetch(`${health}/health/ready`)
  t.equal(readiness.status, 503)
  t.match(await readiness.json(), { ready: false, checks: [{ name: 'cellar', ok: false }] })
  t.same(await (await fetch(`${health}/health/live`)).json(), { live: true })
  t.equal((await fetch(`${health}/elsewhere`)).status, 404)
  t.equal((await fetch(`${health}/health/live`, { method: 'POST' })).status, 405)
  child.kill('SIGTERM')
  await ended
})

t.test('a stage that is late or fails does not keep the others from their turn', async t => {
  for (const behaviour of ['late', 'failing']) {
    const { child, ready, ended } = run(t, behaviour)
    await ready
    child.kill('SIGTERM')
    const end = await ended
    t.equal(end.code, 1, `${behaviour}: the exit code tells`)
    t.same(stagesOf(end), ['stage second'])
    t.match(end.output, behaviour === 'late' ? /"deadlineMs":200.*stop: first/ : /no more.*stop: first/)
  }
})

t.test('a role that cannot start ends with its reason', async t => {
  const { ready, ended } = run(t, 'refusing')
  ready.catch(() => {})
  const end = await ended
  t.equal(end.code, 1)
  t.match(end.output, /"level":60.*the cellar is flooded.*spec could not start/)
})

t.test('an error that nobody caught ends the process at once', async t => {
  for (const behaviour of ['rejecting', 'throwing']) {
    const { ended } = run(t, behaviour)
    const end = await ended
    t.equal(end.code, 1)
    t.match(end.output, /"level":60/)
    t.same(stagesOf(end), [])
  }
})

t.test('the end of the parent is the end of the role, in order', async t => {
  const { child, ready, ended } = run(t, 'orderly', { PARENT_PIPE: '1' })
  await ready
  child.stdin?.end()
  const end = await ended
  t.same(stagesOf(end), ['stage first', 'stage second'])
  t.match(end.output, /"why":"parent gone"/)
})

t.test('a role ends with its parent although nobody reads its output any more', async t => {
  for (const behaviour of ['orderly', 'late']) {
    const { child, ready } = run(t, behaviour, { PARENT_PIPE: '1' })
    await ready
    const ended = once(child, 'exit')
    child.stdout?.destroy()
    child.stdin?.end()
    const [, signal] = await ended
    t.equal(signal, null, `${behaviour}: it went by itself`)
  }
})

t.test('a role stuck in a stage does not outlive its parent for long', async t => {
  const { child, ready, ended } = run(t, 'stuck', { PARENT_PIPE: '1' })
  await ready
  const since = Date.now()
  child.stdin?.end()
  t.equal((await ended).code, 1)
  t.ok(Date.now() - since < 10_000)
})

t.test('without a parent pipe the end of standard input means nothing', async t => {
  const { child, ready, ended } = run(t, 'orderly')
  const { health } = (await ready).endpoints
  child.stdin?.end()
  t.equal((await fetch(`${health}/health/live`)).status, 200)
  child.kill('SIGTERM')
  t.equal((await ended).code, 0)
})
