import t, { type Test } from 'tap'
import { opsconductor } from '../test/support/cli.ts'
import { type Asked, pretendApi } from '../test/support/pretend-api.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`
const nightly = {
  ...{ serviceAccountId: id(7), name: 'nightly', status: 'active', description: 'backups' },
  ...{ owner: { kind: 'user', id: id(1) }, ownerless: false },
}
const ann = { userId: id(1), loginName: 'ann@example.org', displayName: 'Ann Example', status: 'active' }
const session = {
  sessionId: id(3),
  userId: id(1),
  status: 'active',
  startedAt: '2030-01-01',
  ip: '192.0.2.7',
  mfa: true,
}
const rule = {
  rule: 'author-approver',
  mode: 'block',
  status: 'active',
  targets: null,
  description: 'wrote and approves',
}
const violation = { violationId: id(9), rule: 'author-approver', person: `user:${id(1)}`, outcome: 'blocked', count: 2 }
const lists: Record<string, object[]> = {
  '/v1/service-accounts': [nightly],
  '/v1/sessions': [session],
  '/v1/auth/sessions': [session],
  '/v1/api-keys': [],
  '/v1/auth/api-keys': [],
  '/v1/access/sod-rules': [rule],
  '/v1/access/sod-violations': [violation],
}
const known = ({ loginName = 'ann@example.org', status }: Record<string, string>) =>
  loginName === 'ann@example.org' && status !== 'erased' ? [ann] : []
const streams: Record<string, string> = {
  'create-service-account': `serviceaccount-${id(7)}`,
  'create-user': `user-${id(1)}`,
}

function answer({ path, query }: Asked): object {
  if (path === '/v1/users') return { items: known(query), next: null }
  if (path === `/v1/users/${id(1)}`) return ann
  const items = lists[path]
  if (items) return { items: items.filter(item => !query.name || (item as { name?: string }).name === query.name) }
  const stream = streams[path.slice('/v1/commands/'.length)] ?? `apikey-${id(8)}`
  return { commandId: id(20), stream, revision: '0', position: '1', events: [], apiKey: 'opsk_shown-once' }
}

const api = await pretendApi(t, answer)
const said = (...argv: string[]) => opsconductor('--url', api.url, '-o', 'table', ...argv)
/** What was asked last by a command line that is right. */
const run = async (...argv: string[]) => {
  api.forget()
  const { code, out, err } = await said(...argv)
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${code} ${err}`)
  return { out, err, last: api.asked.at(-1) }
}
const sends = async (t: Test, argv: string[], name: string, body: object) => {
  const { last } = await run(...argv)
  t.match(last, { method: 'POST', path: `/v1/commands/${name}` }, argv.join(' '))
  t.same(last?.body, body, argv.join(' '))
}

t.test('service accounts', async t => {
  await sends(t, ['service-account', 'create', 'nightly'], 'create-service-account', { name: 'nightly' })
  const owner = { kind: 'group', id: id(4) }
  const full = ['nightly', '--description', 'backups', '--owner', `group:${id(4)}`]
  const created = { name: 'nightly', description: 'backups', owner }
  await sends(t, ['service-account', 'create', ...full], 'create-service-account', created)
  t.match((await run('service-account', 'create', 'nightly')).out, new RegExp(`serviceAccountId +${id(7)}`))
  t.match((await run('service-account', 'list')).out, new RegExp(`${id(7)} +nightly +active`))
  const [serviceAccountId, reason] = [id(7), 'left']
  await sends(t, ['service-account', 'disable', 'nightly', reason], 'disable-service-account', {
    serviceAccountId,
    reason,
  })
  await sends(t, ['service-account', 'enable', id(7), reason], 'enable-service-account', { serviceAccountId, reason })
  const moved = { serviceAccountId, owner, reason }
  await sends(
    t,
    ['service-account', 'transfer', 'nightly', `group:${id(4)}`, reason],
    'transfer-service-account',
    moved,
  )
  t.match(await said('service-account', 'disable', 'unknown', reason), {
    code: 4,
    err: /no service-account called unknown/,
  })
  t.equal((await said('service-account', 'create', 'nightly', '--owner', 'nobody')).code, 2)
})

t.test('API keys, of oneself and of others', async t => {
  const own = await run('api-key', 'issue', 'laptop', '--expires', '86400', '--permission', 'run:read')
  t.match(own.last, { method: 'POST', path: '/v1/auth/api-keys/issue' })
  t.same(own.last?.body, { name: 'laptop', permissions: ['run:read'], expiresSeconds: 86_400 })
  t.match(own.out, /opsk_shown-once/)
  t.match(own.err, /shown once/)
  const user = { name: 'laptop', owner: { kind: 'user', id: id(1) } }
  await sends(t, ['api-key', 'issue', 'laptop', '--user', id(1)], 'issue-api-key', user)
  const account = { name: 'backup', owner: { kind: 'service-account', id: id(7) } }
  await sends(t, ['api-key', 'issue', 'backup', '--service-account', 'nightly'], 'issue-api-key', account)
  const both = ['--user', id(1), '--service-account', 'nightly']
  t.match(await said('api-key', 'issue', 'laptop', ...both), { code: 2, err: /one owner/ })
  t.equal((await said('api-key', 'issue', 'laptop', '--expires', 'soon')).code, 2)
  t.match((await run('api-key', 'list', '--status', 'active')).last, {
    path: '/v1/api-keys',
    query: { status: 'active' },
  })
  t.match((await run('api-key', 'list', '--own')).last, { path: '/v1/auth/api-keys' })
  await sends(t, ['api-key', 'revoke', id(8), 'leaked'], 'revoke-api-key', { keyId: id(8), reason: 'leaked' })
})

t.test('sessions, of oneself and of all', async t => {
  const own = await run('session', 'list')
  t.match(own.last, { path: '/v1/auth/sessions', query: { status: 'active' } })
  t.match(own.out, new RegExp(`${id(3)} +${id(1)} +active .*192\\.0\\.2\\.7 +true`))
  t.match((await run('session', 'list', '--all')).last, { path: '/v1/sessions', query: { status: 'active' } })
  const ended = (await run('session', 'revoke', id(3))).last
  t.match(ended, { method: 'POST', path: '/v1/auth/sessions/end', body: { sessionId: id(3) } })
  const stolen = { sessionId: id(3), reason: 'stolen' }
  await sends(t, ['session', 'revoke', id(3), 'stolen'], 'revoke-session', stolen)
})

t.test('users, by id and by login name', async t => {
  const person = { loginName: 'ann@example.org', displayName: 'Ann', email: 'ann@example.org' }
  const options = ['--name', 'Ann', '--email', 'ann@example.org']
  await sends(t, ['user', 'create', 'ann@example.org', ...options], 'create-user', person)
  const { out, err } = await run('user', 'create', 'ann@example.org')
  t.match(out, new RegExp(`userId +${id(1)}`))
  t.match(err, /shown once/)
  t.match((await run('user', 'list')).out, /ann@example.org +Ann Example +active/)
  t.match((await run('user', 'list', '--status', 'erased')).out, /none/)
  t.match((await run('user', 'show', 'ann@example.org')).out, /displayName +Ann Example/)
  t.equal((await run('user', 'show', id(1))).last?.path, `/v1/users/${id(1)}`)
  for (const [verb, name] of [
    ['disable', 'deactivate-user'],
    ['enable', 'reactivate-user'],
    ['reset-link', 'create-reset-link'],
    ['require-change', 'require-passphrase-change'],
    ['unlock', 'unlock-user'],
    ['reset-second-factor', 'remove-second-factors'],
    ['hold', 'place-legal-hold'],
    ['release', 'release-legal-hold'],
    ['erase', 'erase-personal-data'],
  ] as const)
    await sends(t, ['user', verb, 'ann@example.org', 'because'], name, { userId: id(1), reason: 'because' })
  t.match(await said('user', 'disable', 'unknown', 'because'), { code: 4, err: /there is no user unknown/ })
})

t.test('what goes against the segregation of duties', async t => {
  t.match((await run('sod', 'rules')).out, /author-approver +block +active/)
  t.match((await run('sod', 'violations')).out, new RegExp(`${id(9)} +author-approver +user:${id(1)} +blocked +2`))
  const change = ['author-approver', 'small team', '--mode', 'detect', '--targets', 'env=test']
  const changed = { rule: 'author-approver', reason: 'small team', mode: 'detect', targets: 'env=test' }
  await sends(t, ['sod', 'change', ...change], 'change-sod-rule', changed)
  await sends(t, ['sod', 'change', 'a-b', 'why', '--mode', 'block'], 'change-sod-rule', {
    ...{ rule: 'a-b', reason: 'why', mode: 'block' },
  })
  await sends(t, ['sod', 'retire', 'a-b', 'why'], 'retire-sod-rule', { rule: 'a-b', reason: 'why' })
  const waiver = { violationId: id(9), until: '2030-02-01T00:00:00Z', reason: 'for January' }
  await sends(t, ['sod', 'waive', id(9), waiver.until, waiver.reason], 'waive-sod-violation', waiver)
})
