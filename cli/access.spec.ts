import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { opsconductor } from '../test/support/cli.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`
const user = `user:${id(1)}`
const grant = {
  grantId: id(9),
  principal: { kind: 'user', id: id(1) },
  role: 'operator',
  scope: { kind: 'labels', labels: 'env=prod' },
  expiresAt: null,
  status: 'active',
}
const scopeOf = (kind: string, id: string) => ({ kind: 'resource', resource: { kind, id } })
const keys = [
  { keyId: id(3), scopes: [grant.scope, scopeOf('job', id(5))] },
  { keyId: id(2), scopes: null },
]
const considered = { grantId: id(9), role: 'operator', via: null, scope: 'job x', until: null, verdict: 'permits' }
const answers: Record<string, unknown> = {
  '/v1/grants': { items: [grant], next: null },
  '/v1/roles': { items: [{ role: 'night', status: 'active', permissions: ['run:read'] }], next: null },
  '/v1/groups': { items: [{ groupId: id(4), name: 'team', members: [grant.principal] }], next: null },
  '/v1/jobs': { items: [{ jobId: id(5), name: 'nightly' }], next: null },
  '/v1/api-keys': { items: keys, next: null },
  '/v1/access/explain': { allowed: true, why: 'granted', grantId: id(9), considered: [considered] },
  '/v1/access/who-can': { items: [grant], more: 0 },
}

t.test('who may do what, by the command line', async t => {
  const sent: Array<{ path: string; body: unknown }> = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const path = (request.url ?? '').split('?')[0] ?? ''
    const body = request.method === 'POST' ? JSON.parse(Buffer.concat(chunks).toString()) : request.url
    sent.push({ path, body })
    const accepted = { commandId: id(8), stream: `grant-${id(9)}`, revision: '0', position: '1', events: [] }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answers[path] ?? accepted))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const run = async (...argv: string[]) => {
    sent.length = 0
    const { code, out, err } = await opsconductor('--url', url, '-o', 'table', ...argv)
    t.notOk(code, `${argv.join(' ')}: ${err}`)
    return { out, last: sent.at(-1) }
  }
  const sends = async (argv: string[], name: string, body: object) =>
    t.same((await run(...argv)).last, {
      path: `/v1/commands/${name}`,
      body,
    })
  const principal = { kind: 'user', id: id(1) }
  const why = ['--reason', 'on call']
  const given = { principal, role: 'operator', reason: 'on call' }
  await sends(['grant', 'create', user, 'operator', ...why], 'grant-role', { ...given, scope: { kind: 'everything' } })
  await sends(['grant', 'create', user, 'operator', ...why, '--labels', 'env=prod'], 'grant-role', {
    ...given,
    scope: { kind: 'labels', labels: 'env=prod' },
  })
  const until = '2030-01-31T18:00:00Z'
  await sends(['grant', 'create', user, 'operator', ...why, '--on', 'job:nightly', '--until', until], 'grant-role', {
    ...{ ...given, expiresAt: until },
    scope: { kind: 'resource', resource: { kind: 'job', id: id(5) } },
  })
  await sends(['grant', 'revoke', id(9), 'left'], 'revoke-role', { grantId: id(9), reason: 'left' })
  const permissions = ['run:read', 'run:cancel']
  const named = ['night', '--permission', 'run:read', '--permission', 'run:cancel']
  await sends(['role', 'define', ...named], 'define-role', { role: 'night', permissions })
  await sends(['role', 'change', ...named], 'change-role', { role: 'night', permissions })
  await sends(['role', 'retire', 'night', 'over'], 'retire-role', { role: 'night', reason: 'over' })
  await sends(['group', 'create', 'team'], 'create-group', { name: 'team' })
  await sends(['group', 'add', id(4), user], 'add-to-group', { groupId: id(4), member: principal })
  await sends(['group', 'remove', id(4), user], 'remove-from-group', { groupId: id(4), member: principal })
  const issue = ['api-key', 'issue', 'nightly', '--service-account', id(7), '--permission', 'run:trigger']
  await sends([...issue, '--labels', 'env=prod', '--on', 'job:nightly', '--on', `run:${id(6)}`], 'issue-api-key', {
    ...{ name: 'nightly', owner: { kind: 'service-account', id: id(7) }, permissions: ['run:trigger'] },
    scopes: [grant.scope, scopeOf('job', id(5)), scopeOf('run', id(6))],
  })
  const keys = (await run('api-key', 'list')).out
  t.match(keys, new RegExp(`targets env=prod job:${id(5)}`))
  t.match(keys, /all of its owner/)
  t.match((await run('grant', 'list')).out, /operator +targets env=prod/)
  t.match((await run('role', 'list')).out, /night +active +run:read/)
  t.match((await run('group', 'list')).out, new RegExp(`team +${user}`))
  const asked = await run('access', 'explain', 'run:trigger', '--on', 'job:nightly', '--as', user)
  t.match(asked.out, /operator[\s\S]*permits/)
  const query = new URLSearchParams({ permission: 'run:trigger', resource: `job:${id(5)}`, principal: user })
  t.equal(asked.last?.body, `/v1/access/explain?${query}`)
  t.match((await run('access', 'who-can', 'run:trigger')).out, new RegExp(`${user} +operator`))
  t.match((await opsconductor('--url', url, 'grant', 'create', 'ann', 'viewer', ...why)).code, 2)
})
