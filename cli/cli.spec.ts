import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createClient } from './client.ts'
import { followRun } from './follow.ts'
import { main } from './main.ts'
import { plain, table } from './output.ts'
import { parseBlock } from './server-events.ts'
import { resolveSettings } from './settings.ts'

const runId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('a flag beats the environment, which beats the profile', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-cli-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  mkdirSync(join(dir, 'opsconductor'))
  writeFileSync(
    join(dir, 'opsconductor', 'config.yaml'),
    'profiles:\n  default: { url: "http://profile:1", apiKey: p }\n  other: { url: "http://other:1" }\n',
  )
  const env = { XDG_CONFIG_HOME: dir }
  t.match(resolveSettings({}, env, true), { url: 'http://profile:1', apiKey: 'p', output: 'table' })
  t.match(resolveSettings({ profile: 'other' }, env, false), { url: 'http://other:1', output: 'json' })
  t.match(resolveSettings({}, { ...env, OPSCONDUCTOR_URL: 'http://env:1/', OPSCONDUCTOR_API_KEY: 'e' }, true), {
    url: 'http://env:1',
    apiKey: 'e',
  })
  t.match(resolveSettings({ url: 'http://flag:1' }, { ...env, OPSCONDUCTOR_URL: 'http://env:1' }, true), {
    url: 'http://flag:1',
  })
  t.match(resolveSettings({}, { XDG_CONFIG_HOME: '/nowhere', OPSCONDUCTOR_PORT: '7999' }, true), {
    url: 'http://127.0.0.1:7999',
  })
  t.match(resolveSettings({}, { ...env, OPSCONDUCTOR_URL: '', OPSCONDUCTOR_API_KEY: '' }, true), {
    ...{ url: 'http://profile:1', apiKey: 'p' },
  })
  t.throws(() => resolveSettings({ profile: 'absent' }, env, true), { name: 'UsageError' })
  t.throws(() => resolveSettings({ output: 'xml' }, {}, true), { name: 'UsageError' })
})

t.test('a terminal never acts on what a remote machine wrote', async t => {
  t.equal(plain('a\x1b]8;;javascript:x\x07b\u202ec'), 'a\ufffd]8;;javascript:x\ufffdb\ufffdc')
  t.equal(
    table(
      [{ a: 'x\ny', b: { env: 'prod', owner: '' } }],
      [
        ['a', r => r.a],
        ['tags', r => r.b],
        ['none', r => r.c],
      ],
    ),
    'A    TAGS            NONE\nx y  env=prod,owner  -',
  )
})

t.test('server-sent events are read as the standard says', async t => {
  t.same(parseBlock('id: 5\nevent: output\ndata: {"a":\ndata: 1}'), { id: '5', event: 'output', data: '{"a":\n1}' })
  t.equal(parseBlock(': keep-alive'), undefined)
})

t.test('a list is fetched page by page', async t => {
  const asked: string[] = []
  const url = await serve(t, (req, res) => {
    asked.push(req.url ?? '')
    res.end(
      JSON.stringify(req.url?.includes('cursor=two') ? { items: [3], next: null } : { items: [1, 2], next: 'two' }),
    )
  })
  t.same(await createClient(url, undefined).list('/v1/targets', { labels: 'env=prod' }), [1, 2, 3])
  t.same(asked, ['/v1/targets?labels=env%3Dprod&limit=200', '/v1/targets?labels=env%3Dprod&limit=200&cursor=two'])
})

t.test('a live stream that breaks is taken up where it broke', async t => {
  const chunk = (n: number, text: string) => ({ n, stream: 'stdout', data: Buffer.from(text).toString('base64') })
  const resumed: Array<string | undefined> = []
  const url = await serve(t, (req, res) => {
    if (req.url?.includes('/target-runs'))
      return res.end(JSON.stringify({ items: [{ n: 0, targetName: 'web-1', targetId: 't' }] }))
    if (!req.url?.endsWith('/events')) {
      const counts = { succeeded: 1, failed: 0, cancelled: 0, needsAttention: 0 }
      return res.end(JSON.stringify({ runId, jobName: 'uptime', status: 'succeeded', targets: 1, counts }))
    }
    resumed.push(req.headers['last-event-id'] as string | undefined)
    if (resumed.length === 1)
      return res.end(`id: 1.1\nevent: output\ndata: ${JSON.stringify({ chunks: [chunk(0, 'one\ntw')] })}\n\n`)
    res.write(`id: 1.2\nevent: output\ndata: ${JSON.stringify({ chunks: [chunk(0, 'o\n')] })}\n\n`)
    return res.end(
      `id: 2.2\nevent: run\ndata: ${JSON.stringify({ type: 'TargetRunSucceeded', data: { n: 0 } })}\n\nevent: end\ndata: {}\n\n`,
    )
  })
  const written: string[] = []
  const write = process.stdout.write
  process.stdout.write = ((text: string) => written.push(text) > 0) as typeof write
  const code = await followRun(createClient(url, undefined), runId).finally(() => {
    process.stdout.write = write
  })
  t.equal(code, 0)
  t.same(written, ['web-1 │ one\n', 'web-1 │ two\n'], 'no line lost, doubled or cut in two')
  t.same(resumed, [undefined, '1.1'])
})

t.test('exit codes tell a script what went wrong', async t => {
  let status = 401
  const url = await serve(t, (_, res) => {
    res.statusCode = status
    res.end(JSON.stringify({ type: 'urn:opsconductor:problem:internal', title: 'no', status }))
  })
  const list = () => main(['--url', url, 'target', 'list'])
  for (const [answer, code] of [
    [401, 3],
    [403, 3],
    [404, 4],
    [409, 5],
    [412, 5],
    [400, 2],
    [500, 1],
  ] as const) {
    status = answer
    t.equal(await list(), code, `${answer}`)
  }
  t.equal(await main(['target', 'create']), 2, 'a missing argument')
  t.equal(await main(['command', 'creat-target']), 2, 'an unknown command')
  t.equal(await main(['--help']), 0)
})
