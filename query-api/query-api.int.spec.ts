import fc from 'fast-check'
import t from 'tap'
import { z } from 'zod'
import { publishJson } from '../infra/bus.ts'
import { describedRoutes } from '../infra/http/index.ts'
import { derivedId, sha256Hex } from '../infra/ids.ts'
import { subjects } from '../schemas/bus.ts'
import { streams } from '../schemas/events.ts'
import { matchesLabels, parseLabelExpression } from '../schemas/label-expression.ts'
import { History, ids } from '../test/support/made-up-log.ts'
import { freshDatabase } from '../test/support/postgres.ts'
import { until } from '../test/support/process.ts'
import { serveQueries } from '../test/support/query-api.ts'
import { freshReadModel } from '../test/support/read-model.ts'
import { variedHistory } from '../test/support/varied-log.ts'

const authorization = 'Bearer reader'
type Page = { items: Array<Record<string, string>>; next: string | null }

t.test('what was made up is answered in the declared shape', async t => {
  const model = await freshReadModel(t)
  const { http, access } = await serveQueries(t, model.url)
  const history = variedHistory(300)
  const invited = { executorId: 'executor-1', pool: 'default', labels: { zone: 'a' }, tokenHash: sha256Hex('token') }
  const data = { ...invited, expiresAt: '2026-01-02T00:00:00.000Z' }
  history.add(streams.executor('executor-1'), { type: 'EnrolmentTokenIssued', data })
  const breakGlassId = ids.run(900)
  const principal = { kind: 'user', id: ids.run(901) } as const
  const emergency = { breakGlassId, principal, reason: 'the shop is down', ticket: 'INC-1', minutes: 30 }
  const glass = streams.breakGlass(breakGlassId)
  history.add(glass, { type: 'BreakGlassActivated', data: { ...emergency, until: '2026-01-02T00:00:00.000Z' } })
  history.add(glass, { type: 'BreakGlassEnded', data: { breakGlassId, why: 'ended' } })
  const reviewed = { breakGlassId, verdict: 'justified', reason: 'read it' } as const
  history.add(glass, { type: 'BreakGlassReviewed', data: reviewed })
  const violationId = ids.run(902)
  const seen = { violationId, rule: 'author-approver', person: 'user:ann', mode: 'block', outcome: 'blocked' } as const
  const detail = { about: { kind: 'run', id: ids.run(0) }, detail: 'wrote the job version' }
  history.add(streams.sodViolation(violationId), { type: 'SodViolationDetected', data: { ...seen, ...detail } })
  const [role, groupId, grantId] = ['night-shift', derivedId('group'), derivedId('grant')]
  history.add(streams.role(role), { type: 'RoleDefined', data: { role, permissions: ['run:read'] } })
  history.add(streams.group(groupId), { type: 'GroupCreated', data: { groupId, name: 'web operators' } })
  const granted = { grantId, principal: { kind: 'group', id: groupId }, scope: { kind: 'everything' } } as const
  history.add(streams.grant(grantId), { type: 'RoleGranted', data: { ...granted, role, reason: 'on call' } })
  const member = { kind: 'user', id: derivedId('user') } as const
  history.add(streams.group(groupId), { type: 'GroupMemberAdded', data: { groupId, member } })
  const people = addPeople(history)
  await model.project(history.events)
  await until('the grant is known', () => access.state.rows.grant.size > 0)
  const runId = ids.run(0)
  const paths = {
    '/v1/targets': '/v1/targets?limit=3&labels=env%3Dprod',
    '/v1/targets/:id': `/v1/targets/${ids.target(1)}`,
    '/v1/targets/:id/history': `/v1/targets/${ids.target(1)}/history`,
    '/v1/targets/:id/blame': `/v1/targets/${ids.target(1)}/blame`,
    '/v1/credentials': '/v1/credentials',
    '/v1/credentials/:id': `/v1/credentials/${ids.credential(0)}`,
    '/v1/credentials/:id/uses': `/v1/credentials/${ids.credential(0)}/uses`,
    '/v1/credentials/:id/history': `/v1/credentials/${ids.credential(0)}/history`,
    '/v1/credentials/:id/blame': `/v1/credentials/${ids.credential(0)}/blame`,
    '/v1/jobs': '/v1/jobs?status=enabled',
    '/v1/jobs/:id': `/v1/jobs/${ids.job(0)}`,
    '/v1/jobs/:id/history': `/v1/jobs/${ids.job(0)}/history`,
    '/v1/jobs/:id/blame': `/v1/jobs/${ids.job(0)}/blame`,
    '/v1/jobs/:id/versions': `/v1/jobs/${ids.job(0)}/versions`,
    '/v1/jobs/:id/versions/:version': `/v1/jobs/${ids.job(0)}/versions/1`,
    '/v1/executors': '/v1/executors',
    '/v1/executors/:id': '/v1/executors/executor-1',
    '/v1/executors/:id/history': '/v1/executors/executor-1/history',
    '/v1/executors/:id/blame': '/v1/executors/executor-1/blame',
    '/v1/roles': '/v1/roles',
    '/v1/roles/:id': `/v1/roles/${role}`,
    '/v1/roles/:id/history': `/v1/roles/${role}/history`,
    '/v1/roles/:id/blame': `/v1/roles/${role}/blame`,
    '/v1/groups': '/v1/groups',
    '/v1/groups/:id': `/v1/groups/${groupId}`,
    '/v1/groups/:id/history': `/v1/groups/${groupId}/history`,
    '/v1/groups/:id/blame': `/v1/groups/${groupId}/blame`,
    '/v1/grants': '/v1/grants',
    '/v1/grants/:id': `/v1/grants/${grantId}`,
    '/v1/grants/:id/history': `/v1/grants/${grantId}/history`,
    '/v1/grants/:id/blame': `/v1/grants/${grantId}/blame`,
    ...pathsOf('users', people.userId),
    ...pathsOf('service-accounts', people.serviceAccountId),
    ...pathsOf('api-keys', people.keyId),
    ...pathsOf('sessions', people.sessionId),
    '/v1/access/explain': `/v1/access/explain?permission=run:read&resource=run:${runId}&principal=user:${member.id}`,
    '/v1/access/who-can': '/v1/access/who-can?permission=run:read',
    '/v1/access/simulate': `/v1/access/simulate?principal=group:${groupId}&role=viewer&scope=labels:env=prod`,
    '/v1/runs': `/v1/runs?jobId=${ids.job(0)}&targetId=${ids.target(1)}`,
    '/v1/runs/:id': `/v1/runs/${runId}`,
    '/v1/runs/:id/target-runs': `/v1/runs/${runId}/target-runs?status=succeeded`,
    '/v1/runs/:id/target-runs/:n': `/v1/runs/${runId}/target-runs/0`,
    '/v1/runs/:id/output': `/v1/runs/${runId}/output`,
    '/v1/runs/:id/attention': `/v1/runs/${runId}/attention`,
    '/v1/runs/:id/results': `/v1/runs/${runId}/results?step=first`,
    '/v1/runs/:id/results/:sha256/targets': `/v1/runs/${runId}/results/${sha256Hex('')}/targets?step=first`,
    '/v1/approvals': '/v1/approvals?status=passed',
    '/v1/access/sod-rules': '/v1/access/sod-rules',
    '/v1/access/sod-violations': '/v1/access/sod-violations',
    '/v1/access/break-glass': '/v1/access/break-glass?status=reviewed',
    '/v1/audit': '/v1/audit?outcome=success&from=2026-01-01T00:01:00Z&to=2026-01-01T00:04:00Z',
    '/v1/audit/:position': '/v1/audit/7',
    '/v1/status': '/v1/status',
  }
  const described = describedRoutes(http).filter(
    ({ url, operation }) => !/^(live|artifacts|auth)$/.test(operation.tag) && !url.endsWith('.raw'),
  )
  t.same(described.map(route => route.url).sort(), Object.keys(paths).sort(), 'every route is asked')
  for (const { url, operation } of described) {
    const answer = await http.inject({ url: paths[url as keyof typeof paths], headers: { authorization } })
    t.equal(answer.statusCode, 200, `${url}: ${answer.body.slice(0, 300)}`)
    const schema = operation.answers[200]?.schema
    if (!(schema instanceof z.ZodObject)) throw new Error(`${url} declares no answer`)
    const body = answer.json()
    t.same(schema.parse(body), body, `${url} answers what it declares and no more`)
    if ('items' in body && !/(output|attention)$/.test(url)) t.ok(body.items.length > 0, `${url} finds something`)
    if (!url.endsWith('/output')) t.equal(answer.headers['x-position'], String(history.events.length - 1))
    t.equal((await http.inject(paths[url as keyof typeof paths])).statusCode, 401)
    const denied = await http.inject({
      url: paths[url as keyof typeof paths],
      headers: { authorization: 'Bearer nobody' },
    })
    t.equal(denied.statusCode, 403)
  }
})

const pathsOf = (plural: string, id: string) => ({
  [`/v1/${plural}`]: `/v1/${plural}`,
  [`/v1/${plural}/:id`]: `/v1/${plural}/${id}`,
  [`/v1/${plural}/:id/history`]: `/v1/${plural}/${id}/history`,
  [`/v1/${plural}/:id/blame`]: `/v1/${plural}/${id}/blame`,
})

/** Somebody with a second factor who has signed in, and a program with a key. */
function addPeople(history: History) {
  const [userId, sessionId] = [derivedId('ann'), derivedId('session')]
  const [serviceAccountId, keyId, factorId] = [derivedId('account'), derivedId('key'), derivedId('factor')]
  const [hash, at, later] = [sha256Hex('x'), '2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z']
  const user = streams.user(userId)
  const invited = { userId, loginIndex: hash, linkHash: hash, linkExpiresAt: later }
  history.add(user, { type: 'UserInvited', data: invited })
  history.add(user, { type: 'UserPasswordChanged', data: { userId, verifierId: factorId, by: 'link' } })
  history.add(user, { type: 'MfaFactorEnrolled', data: { userId, factorId, kind: 'totp' } })
  history.add(user, { type: 'RecoveryCodesIssued', data: { userId, setId: factorId, count: 10 } })
  history.add(user, { type: 'RecoveryCodeUsed', data: { userId, setId: factorId, left: 9 } })
  history.add(user, { type: 'UserLocked', data: { userId, what: 'passphrase', until: later } })
  history.add(user, { type: 'LegalHoldPlaced', data: { userId, reason: 'case 4711' } })
  history.add(user, { type: 'ErasureDeferred', data: { userId, reason: 'asked for it' } })
  const account = streams.serviceAccount(serviceAccountId)
  history.add(account, { type: 'ServiceAccountCreated', data: { serviceAccountId, name: 'nightly' } })
  const orphaned = { serviceAccountId, name: 'nightly', owner: { kind: 'user', id: userId } } as const
  history.add(account, {
    type: 'ServiceAccountOwnerChanged',
    data: { serviceAccountId, owner: orphaned.owner, reason: 'x' },
  })
  history.add(account, { type: 'ServiceAccountOrphaned', data: orphaned })
  history.add(account, { type: 'ServiceAccountDisabled', data: { serviceAccountId, reason: 'for now' } })
  history.add(account, { type: 'ServiceAccountEnabled', data: { serviceAccountId, reason: 'again' } })
  const issued = { keyId, name: 'k', owner: { kind: 'service-account', id: serviceAccountId } } as const
  const key = streams.apiKey(keyId)
  history.add(key, { type: 'ApiKeyIssued', data: { ...issued, secretHash: hash, expiresAt: later } })
  history.add(key, { type: 'ApiKeyUsed', data: { keyId, at } })
  const began = { sessionId, userId, method: 'passphrase', mfa: true, refreshHash: hash, startedAt: at } as const
  const session = streams.session(sessionId)
  history.add(session, { type: 'SessionStarted', data: { ...began, idleSeconds: 1_800, expiresAt: later } })
  history.add(session, { type: 'RefreshTokenRotated', data: { sessionId, userId, refreshHash: hash, at } })
  history.add(session, { type: 'LoggedOut', data: { sessionId, userId } })
  const attemptId = derivedId('attempt')
  history.add(streams.signIn(attemptId), { type: 'LoginFailed', data: { attemptId, userId, why: 'wrong-passphrase' } })
  return { userId, sessionId, serviceAccountId, keyId }
}

t.test('as of before and after, and who set what', async t => {
  const model = await freshReadModel(t)
  const { http } = await serveQueries(t, model.url)
  const get = async (url: string) => (await http.inject({ url, headers: { authorization } })).json()
  const history = new History()
  history.credential(0)
  const targetId = history.target(1, { env: 'test', zone: 'a' })
  const stream = streams.target(targetId)
  const grace = { actor: { kind: 'user', id: 'grace' }, justification: 'moved to the new rack' } as const
  const renamed = history.add(stream, { type: 'TargetRenamed', data: { targetId, name: 'db-1' } }, grace)
  history.add(stream, { type: 'TargetTagged', data: { targetId, key: 'env', value: 'prod' } })
  history.add(stream, { type: 'TargetUntagged', data: { targetId, key: 'zone' } })
  await model.project(history.events)
  const at = (p: number | string) => get(`/v1/targets/${targetId}?asOf=${encodeURIComponent(p)}`)
  t.equal((await at('@1')).status, 404, 'not yet there')
  t.match(await at('@2'), { name: 'web-1', tags: { env: 'test', zone: 'a' } })
  t.match(await at('@3'), { name: 'db-1', revision: '1' })
  t.match(await at('2026-01-01T00:00:02.999Z'), { name: 'web-1' })
  t.match(await at('2026-01-01T00:00:03Z'), { name: 'db-1' })
  t.equal((await at('2025-12-31T23:59:59Z')).status, 404)
  t.same((await at('@5')).tags, { env: 'prod' })
  t.match(await get('/v1/targets?labels=env%3Dtest&asOf=@3'), { items: [{ name: 'db-1' }] })
  t.same((await get('/v1/targets?labels=env%3Dtest')).items, [])
  const { fields } = await get(`/v1/targets/${targetId}/blame`)
  t.match(fields.name, {
    value: 'db-1',
    eventId: renamed.id,
    eventType: 'TargetRenamed',
    ...{ actor: { kind: 'user', id: 'grace' }, reason: 'moved to the new rack', position: '3' },
  })
  t.match(fields['tags.env'], { value: 'prod', eventType: 'TargetTagged' })
  t.match(fields.port, { value: 22, eventType: 'TargetRegistered' })
  t.notOk('tags.zone' in fields, 'what is gone is not blamed')
  const past = await get(`/v1/targets/${targetId}/blame?asOf=@2`)
  t.match(past.fields.name, { value: 'web-1', eventType: 'TargetRegistered' })
  const { items } = await get(`/v1/targets/${targetId}/history?limit=2`)
  t.match(items, [{ changed: ['tags.zone'] }, { changed: ['tags.env'], state: { tags: { env: 'prod' } } }])
  const audited = await get(`/v1/audit?resourceId=${targetId}&limit=2&sort=position`)
  t.match(audited.items[1], {
    type: 'TargetRenamed',
    resource: { type: 'target', id: targetId, name: 'web-1' },
    ...{ before: { name: 'web-1' }, after: { name: 'db-1' }, actor: { id: 'grace' } },
  })
})

t.test('label expressions mean the same in the database as in a run', async t => {
  const model = await freshReadModel(t)
  const { http } = await serveQueries(t, model.url)
  const history = new History()
  const tags = [{}, { env: 'prod' }, { env: 'test', tier: 'db' }, { env: 'prod', tier: 'web' }, { tier: 'web' }]
  for (const [n, each] of tags.entries()) history.target(n, each as Record<string, string>)
  await model.project(history.events)
  const expressions = ['env=prod', 'env!=prod', 'env', '!env', 'env in (prod,test),tier', 'tier notin (web),env']
  for (const expression of expressions) {
    const url = `/v1/targets?labels=${encodeURIComponent(expression)}`
    const { items } = (await http.inject({ url, headers: { authorization } })).json()
    const expected = tags.flatMap((each, n) =>
      matchesLabels(parseLabelExpression(expression) ?? [], each as Record<string, string>) ? [`web-${n}`] : [],
    )
    t.same(
      items.map((item: { name: string }) => item.name),
      expected,
      expression,
    )
  }
})

t.test('pages lose and double nothing while rows are added', async t => {
  const model = await freshReadModel(t)
  const { http } = await serveQueries(t, model.url)
  const history = new History()
  for (let n = 0; n < 30; n += 1) history.target(n)
  await model.project(history.events)
  let added = 30
  const pages = async (list: string, size: number, between: () => Promise<void>) => {
    const seen: Array<Record<string, string>> = []
    let next: string | null = null
    do {
      const url: string = `${list}&limit=${size}${next ? `&cursor=${next}` : ''}`
      const page: Page = (await http.inject({ url, headers: { authorization } })).json()
      seen.push(...page.items)
      next = page.next
      if (next) await between()
    } while (next)
    return seen
  }
  const insert = async () => {
    const before = history.events.length
    history.target(added++)
    await model.project(history.events.slice(before))
  }
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(
        '/v1/targets?sort=name',
        '/v1/targets?sort=-name',
        '/v1/targets?sort=-id',
        '/v1/audit?sort=-position',
      ),
      fc.integer({ min: 1, max: 20 }),
      async (list, size) => {
        const there = added
        const seen = await pages(list, size, insert)
        const keys = seen.map(row => row.targetId ?? row.position)
        t.equal(new Set(keys).size, keys.length, 'none twice')
        const known = new Set(
          seen.map(row => row.targetId ?? (row as unknown as { resource: { id: string } }).resource.id),
        )
        for (let n = 0; n < there; n += 1) if (!known.has(ids.target(n))) t.fail(`${list} lost target ${n}`)
      },
    ),
    { numRuns: 12, seed: 7 },
  )
})

const hostile = [
  "' or 1=1 --",
  "'; drop schema read_model cascade; --",
  '") union select * from pg_user --',
  'name; select pg_sleep(10)',
  '$1',
  '\\',
  '%',
  '\u0000',
  'a'.repeat(5000),
  Buffer.from(JSON.stringify(['name', "x' or '1'='1", "not ' an id"])).toString('base64url'),
  Buffer.from(JSON.stringify(['name', 'x', ids.target(0), 'more'])).toString('base64url'),
  Buffer.from(JSON.stringify({ name: 'name' })).toString('base64url'),
]

t.test('what is not offered is refused, and what is hostile stays a value', async t => {
  const model = await freshReadModel(t)
  const { http } = await serveQueries(t, model.url)
  await model.project(variedHistory(60).events)
  const ask = (url: string) => http.inject({ url, headers: { authorization } })
  for (const text of hostile) {
    const value = encodeURIComponent(text)
    for (const name of ['sort', 'cursor', 'status', 'asOf', 'limit', 'minPosition', 'labels', 'colour']) {
      const answer = await ask(`/v1/targets?${name}=${value}`)
      t.equal(answer.statusCode, 400, `${name}=${text.slice(0, 40)}`)
      t.match(answer.headers['content-type'], /problem\+json/)
    }
    for (const url of [`/v1/targets/${value}`, `/v1/audit/${value}`, `/v1/audit?from=${value}`]) {
      t.ok([400, 404].includes((await ask(url)).statusCode), url.slice(0, 60))
    }
    if (text.length <= 120 && !text.includes('\0')) {
      t.same((await ask(`/v1/targets?name=${value}`)).json().items, [], `no target has ${text} in its name`)
      t.same((await ask(`/v1/audit?actor=${value}`)).json().items, [])
    }
  }
  t.equal((await ask('/v1/targets?limit=501')).statusCode, 400)
  t.equal((await ask('/v1/targets?limit=1&limit=2')).statusCode, 400)
  t.equal((await ask('/v1/targets')).json().items.length, 20, 'and everything is still there')
  t.match((await ask(`/v1/runs/${ids.target(0)}`)).json(), { type: /run-not-found/ })
  t.match((await ask(`/v1/runs/${ids.run(0)}/target-runs/99`)).json(), { type: /target-run-not-found/ })
})

t.test('a reader sees what it has just written, or is told how far things are', async t => {
  const model = await freshReadModel(t)
  const { http, bus } = await serveQueries(t, model.url)
  const history = new History()
  const targetId = history.target(0)
  await model.project(history.events)
  const ask = (url: string, headers = {}) => http.inject({ url, headers: { authorization, ...headers } })
  const impatient = await ask('/v1/targets?minPosition=1', { prefer: 'wait=0' })
  t.equal(impatient.statusCode, 202)
  t.same(impatient.json(), { position: '0' })
  t.match(impatient.headers, { 'x-position': '0', 'retry-after': '1' })
  const waiting = ask(`/v1/targets/${targetId}?minPosition=1`)
  const renamed = history.add(streams.target(targetId), { type: 'TargetRenamed', data: { targetId, name: 'db-1' } })
  await model.project([renamed])
  publishJson(bus, subjects.projected, { commit: '1', prepare: '1' })
  const answer = await waiting
  t.equal(answer.json().name, 'db-1')
  t.match(answer.headers, { etag: '"1"', 'x-position': '1' })
  t.equal((await ask(`/v1/targets/${targetId}?asOf=@9`, { prefer: 'wait=0' })).statusCode, 202, 'the future')
})

t.test('without read models or without Postgres the answer is a clear 503', async t => {
  const { url } = await freshDatabase(t)
  const { http, pool } = await serveQueries(t, url)
  const ask = () => http.inject({ url: '/v1/targets', headers: { authorization } })
  t.match((await ask()).json(), { status: 503, type: /read-model-unavailable/ })
  await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()
    and datname = current_database()`)
  t.equal((await ask()).statusCode, 503)
})
