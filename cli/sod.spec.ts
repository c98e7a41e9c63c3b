import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { opsconductor } from '../test/support/cli.ts'

const id = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
const acts = { kind: 'acts', before: 'author', now: 'requester' }
const duties = { kind: 'duties', first: { roles: ['auditor'] }, second: { permissions: ['*:write'] } }
const rule = { mode: 'block', status: 'active', targets: null, description: null }
const listed = [
  { ...rule, rule: 'author-runner', conflict: acts },
  { ...rule, rule: 'auditor-write', conflict: duties },
]

type Request = { path: string; headers: IncomingHttpHeaders; body: unknown }

/** Answers everything, except commands without a reason where one is asked for. */
const sent: Request[] = []
let asksWhy = false
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = request.method === 'POST' ? JSON.parse(Buffer.concat(chunks).toString()) : undefined
  const { headers, url = '' } = request
  if (body !== undefined) sent.push({ path: url, headers, body })
  const type = 'urn:opsconductor:problem:justification-needed'
  const refused = { type, title: 'Say why', status: 422, detail: 'the rule author-runner: wrote the job version' }
  const isRefused = asksWhy && body !== undefined && headers['x-justification'] === undefined
  const accepted = { commandId: id, stream: 'sodrule-author-runner', revision: '0', position: '1', events: [] }
  const items = url.startsWith('/v1/access/sod-rules') ? listed : []
  response.writeHead(isRefused ? 422 : 200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(isRefused ? refused : body === undefined ? { items, next: null } : accepted))
}).listen(0, '127.0.0.1')
await once(server, 'listening')
t.teardown(() => server.close())
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const cli = (...argv: string[]) => opsconductor('--url', url, '-o', 'table', ...argv)

t.test('rules are defined, listed and taken out of use', async t => {
  const defines = async (argv: string[], body: object) => {
    const { code, err } = await cli('sod', 'define', 'author-runner', ...argv)
    t.notOk(code, err)
    t.same(sent.at(-1)?.path, '/v1/commands/define-sod-rule')
    t.same(sent.at(-1)?.body, { rule: 'author-runner', ...body })
  }
  await defines(['--mode', 'justify', '--before', 'author', '--now', 'requester', '--targets', 'env=prod'], {
    ...{ mode: 'justify', conflict: acts, targets: 'env=prod' },
  })
  const mixed = ['--first', 'auditor', '--second', 'operator', '--second', 'role:write']
  await defines(['--mode', 'block', ...mixed, '--description', 'apart'], {
    ...{ mode: 'block', description: 'apart' },
    conflict: {
      ...{ kind: 'duties', first: { roles: ['auditor'] } },
      second: { roles: ['operator'], permissions: ['role:write'] },
    },
  })
  for (const wrong of [[], ['--first', 'auditor'], ['--before', 'author'], [...mixed, '--now', 'author']]) {
    const { code, err } = await cli('sod', 'define', 'x-y', '--mode', 'block', ...wrong)
    t.same([code, /--first and --second/.test(err)], [2, true], wrong.join(' '))
  }
  t.equal((await cli('sod', 'define', 'x-y', '--before', 'author', '--now', 'author')).code, 2, 'a mode is needed')
  for (const name of ['rules', 'list']) {
    const { out } = await cli('sod', name)
    t.match(out, /author-runner +block +active +author, then requester/)
    t.match(out, /auditor-write +block +active +auditor and \*:write/)
  }
  await cli('sod', 'retire', 'author-runner', 'all runs are approved now')
  t.match(sent.at(-1), {
    path: '/v1/commands/retire-sod-rule',
    body: { rule: 'author-runner', reason: 'all runs are approved now' },
  })
})

t.test('a reason goes with whatever command a rule may ask it for', async t => {
  asksWhy = true
  const { code, err } = await cli('run', 'create', id)
  t.equal(code, 5)
  t.match(err, /Say why[\s\S]*the rule author-runner[\s\S]*--justification/)
  const why = ['--justification', 'die Frau Müller ist krank', '--ticket', 'INC-7']
  for (const argv of [
    ['run', 'create', id],
    ['group', 'add', id, `user:${id}`],
    ['grant', 'create', `user:${id}`, 'operator', '--reason', 'on call'],
    ['approval', 'approve', id, 'sign-off'],
  ]) {
    for (const line of [
      [...argv, ...why],
      [...why, ...argv],
    ]) {
      const said = await cli(...line)
      t.notOk(said.code, `${line.join(' ')}: ${said.err}`)
      const { headers = {} } = sent.at(-1) ?? {}
      t.equal(Buffer.from(String(headers['x-justification']), 'latin1').toString(), 'die Frau Müller ist krank')
      t.equal(headers['x-ticket'], 'INC-7')
    }
  }
  const before = sent.length
  for (const bad of ['', ' ', 'a\nb']) t.equal((await cli('--justification', bad, 'run', 'create', id)).code, 2)
  t.equal(sent.length, before, 'nothing was sent')
})
