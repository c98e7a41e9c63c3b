import { pino } from 'pino'
import t from 'tap'
import { holderOf } from '../../infra/access.ts'
import { systemClock } from '../../infra/clock.ts'
import { connectEventStore } from '../../infra/event-store/client.ts'
import { systemIds } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import { commandApi } from '../../test/support/command-api.ts'
import { commanding, ok, refused } from '../../test/support/commanding.ts'
import { startEventStore } from '../../test/support/event-store.ts'
import { until } from '../../test/support/process.ts'
import { resourcesIn } from '../../test/support/resources.ts'
import { endOverdue } from '../sod/clock.ts'

const node = await startEventStore(t)
const store = connectEventStore(node.connectionString)
t.teardown(() => store.close())
const vault = { seal: () => Promise.reject(new Error('no secret is sent here')) }
/** A key that is a UUID is the user of that id; `ann` is an administrator by the key file. */
const api = await commandApi(t, {
  ...{ store, vault },
  holder: (id, { state }) =>
    /^[0-9a-f-]{36}$/.test(id)
      ? holderOf({ state: () => state, who: { kind: 'user', id }, actor: { kind: 'user', id }, clock: systemClock })
      : undefined,
})
const { access } = api
await until('the log is read', () => access.live)
const made = resourcesIn(store)

const { sendAs, create } = commanding(api)
/** What is said of it may differ in the id only. */
const without = (id: string, { correlationId: _, ...body }: Record<string, unknown>) =>
  JSON.stringify(body).replaceAll(id, 'ID')
const everything = { kind: 'everything' }
const on = (kind: string, id: string) => ({ kind: 'resource', resource: { kind, id } })
const prod = { kind: 'labels', labels: 'env=prod' }
const grant = (id: string, role: string, scope: object, more: object = {}) =>
  create('grant-role', { principal: { kind: 'user', id }, role, scope, reason: 'spec', ...more })
const target = (name: string, env: string, more: object = {}) =>
  create('create-target', { name, address: '192.0.2.1', tags: { env }, ...more })
const noop = [{ id: 'one', uses: 'noop' }]

t.test('a grant counts at once, and so does its end', async t => {
  const user = systemIds.next()
  const [web, lab] = [await target('web-1', 'prod'), await target('lab-1', 'lab')]
  await refused(t, sendAs(user, 'rename-target', { targetId: web, name: 'x' }), 403, 'forbidden')
  const grantId = await grant(user, 'target-admin', prod)
  await ok(sendAs(user, 'rename-target', { targetId: web, name: 'web-01' }))
  await refused(t, sendAs(user, 'rename-target', { targetId: lab, name: 'x' }), 404, 'target-not-found', {
    detail: `no target ${lab}`,
  })
  await ok(sendAs('ann', 'revoke-role', { grantId, reason: 'left' }))
  await refused(t, sendAs(user, 'rename-target', { targetId: web, name: 'web-1' }), 403, 'forbidden')
  const expiresAt = new Date(Date.now() + 700).toISOString()
  const temporary = await grant(user, 'target-admin', prod, { expiresAt })
  await ok(sendAs(user, 'rename-target', { targetId: web, name: 'web-02' }))
  await until('the grant is over', () => Date.now() > Date.parse(expiresAt))
  await refused(t, sendAs(user, 'rename-target', { targetId: web, name: 'web-03' }), 403, 'forbidden')
  t.equal(access.state.rows.grant.get(temporary)?.status, 'active', 'the clock needs no event')
  const clock = { dispatcher: made.dispatcher, access, clock: systemClock, log: pino({ level: 'silent' }) }
  await Promise.all([endOverdue(clock), endOverdue(clock)])
  t.match((await store.read(streams.grant(temporary))).events, [{ type: 'RoleGranted' }, { type: 'RoleGrantExpired' }])
})

t.test('what another process appends counts within a second', async t => {
  const user = systemIds.next()
  const web = await target('web-2', 'prod')
  const grantId = systemIds.next()
  const scope = { kind: 'labels', labels: 'env=prod' } as const
  const data = { grantId, principal: { kind: 'user', id: user }, role: 'target-admin', scope, reason: 'spec' } as const
  const there = { role: 'active', principal: 'active' } as const
  await made.dispatcher.dispatch('grant', { type: 'grant-role', data }, { meta: made.meta(), facts: there })
  await until(
    'granted',
    async () => (await sendAs(user, 'rename-target', { targetId: web, name: 'a' })).statusCode === 200,
  )
  const revoke = { type: 'revoke-role', data: { grantId, reason: 'left' } } as const
  await made.dispatcher.dispatch('grant', revoke, { meta: made.meta(), facts: undefined })
  const began = Date.now()
  await until(
    'revoked',
    async () => (await sendAs(user, 'rename-target', { targetId: web, name: 'b' })).statusCode === 403,
  )
  t.ok(Date.now() - began < 1_000, `${Date.now() - began} ms`)
})

t.test('what one may not see is answered like what is not there, and the log is told the truth', async t => {
  const user = systemIds.next()
  const other = await target('secret-1', 'lab')
  const jobId = await create('define-job', { name: 'hidden', steps: noop, selection: { targetIds: [other] } })
  const runId = await create('trigger-run', { jobId })
  const own = await create('define-job', { name: 'own', steps: noop })
  await grant(user, 'target-admin', prod)
  await grant(user, 'operator', on('job', own))
  await grant(user, 'job-author', on('job', own))
  const nowhere = systemIds.next()
  const asked: Array<[string, object, string]> = [
    ['rename-target', { targetId: '?', name: 'x' }, other],
    ['decommission-target', { targetId: '?', reason: 'x' }, other],
    ['tag-target', { targetId: '?', key: 'env', value: 'prod' }, other],
    ['archive-job', { jobId: '?', reason: 'x' }, jobId],
    ['publish-job-version', { jobId: '?', steps: noop }, jobId],
    ['trigger-run', { jobId: '?' }, jobId],
    ['trigger-run', { jobId: '?', mode: 'plan' }, jobId],
    ['cancel-run', { runId: '?' }, runId],
    ['cancel-target-run', { runId: '?', n: 0 }, runId],
    ['rerun', { of: '?' }, runId],
  ]
  const fill = (data: object, id: string) => JSON.parse(JSON.stringify(data).replaceAll('"?"', `"${id}"`))
  for (const [name, data, id] of asked) {
    const match: Record<string, string> = name === 'rerun' ? {} : { 'if-match': '"7"' }
    const seen = await sendAs(user, name, fill(data, id), match)
    const absent = await sendAs(user, name, fill(data, nowhere), match)
    t.equal(seen.statusCode, 404, `${name} ${seen.body}`)
    t.equal(without(id, seen.json()), without(nowhere, absent.json()), name)
  }
  const { events } = await store.read(streams.job(jobId))
  t.same(events.length, 2, 'nothing was appended')
  const { correlationId } = await refused(
    t,
    sendAs(user, 'rename-target', { targetId: other, name: 'x' }),
    404,
    'target-not-found',
  )
  const told = (await rejections()).find(event => event.metadata.$correlationId === correlationId)
  t.match(told?.data, { code: 'forbidden', detail: `needs target:write on the target ${other}` })
})

/** Refusals of the whole log so far. */
async function rejections() {
  const stop = new AbortController()
  const found = []
  for await (const { events, caughtUp } of store.follow({
    categories: ['command'],
    after: undefined,
    signal: stop.signal,
  })) {
    found.push(...events.filter(({ type }) => type === 'CommandRejected'))
    if (caughtUp) break
  }
  stop.abort()
  return found
}

t.test('nobody moves a target into or out of what is not theirs', async t => {
  const user = systemIds.next()
  await grant(user, 'target-admin', prod)
  const web = await create('create-target', { name: 'w', address: '192.0.2.3', tags: { env: 'prod' } }, user)
  await refused(
    t,
    sendAs(user, 'create-target', { name: 'l', address: '192.0.2.3', tags: { env: 'lab' } }),
    403,
    'forbidden',
  )
  await refused(t, sendAs(user, 'create-target', { name: 'l', address: '192.0.2.3' }), 403, 'forbidden')
  await refused(t, sendAs(user, 'tag-target', { targetId: web, key: 'env', value: 'lab' }), 403, 'forbidden')
  await refused(t, sendAs(user, 'untag-target', { targetId: web, key: 'env' }), 403, 'forbidden')
  await ok(sendAs(user, 'tag-target', { targetId: web, key: 'role', value: 'web' }))
})

t.test('abuse 27: who moves a target says where its secret goes, and so needs the secret too', async t => {
  const mover = systemIds.next()
  const credentialId = await made.credential()
  const role = 'mover'
  await ok(sendAs('ann', 'define-role', { role, permissions: ['target:write', 'target:read'] }))
  await grant(mover, role, everything)
  const [bare, login] = [await target('bare', 'prod'), await target('login', 'prod', { credentialId })]
  const move = (targetId: string, more: object) => sendAs(mover, 'change-target-address', { targetId, ...more })
  await ok(move(bare, { address: '192.0.2.66' }))
  await ok(sendAs(mover, 'rename-target', { targetId: login, name: 'login-1' }))
  for (const there of [{ address: '192.0.2.66' }, { address: '192.0.2.1', port: 2222 }])
    await refused(t, move(login, there), 404, 'credential-not-found', { detail: `no credential ${credentialId}` })
  const { events } = await store.read(streams.target(login))
  t.notOk(events.some(({ type }) => type === 'TargetAddressChanged'))
  await grant(mover, 'target-admin', on('credential', credentialId))
  await ok(move(login, { address: '192.0.2.66' }))
})

t.test('an id that is taken is told in the same words whoever has it', async t => {
  const user = systemIds.next()
  await grant(user, 'target-admin', prod)
  const [own, hidden] = [await target('web-7', 'prod'), await target('lab-7', 'lab')]
  const ask = (targetId: string, env = 'prod') =>
    sendAs(user, 'create-target', { targetId, name: 'other', address: '192.0.2.7', tags: { env } })
  const [seen, unseen] = [
    await refused(t, ask(own), 409, 'target-already-exists', { detail: `there is already a target ${own}` }),
    await refused(t, ask(hidden), 409, 'target-already-exists', { detail: `there is already a target ${hidden}` }),
  ]
  t.equal(without(own, seen), without(hidden, unseen))
  for (const id of [own, hidden, systemIds.next()]) await refused(t, ask(id, 'lab'), 403, 'forbidden')
  const body = { name: 'lab-7', address: '192.0.2.7', tags: { env: 'prod' } }
  const key = { 'idempotency-key': systemIds.next() }
  for (let i = 0; i < 2; i++)
    await refused(t, sendAs(user, 'create-target', { ...body, targetId: hidden }, key), 409, 'target-already-exists')
  t.match((await rejections()).at(-1)?.data, { code: 'forbidden' }, 'the log is told why')
  await refused(t, sendAs(user, 'rename-target', { targetId: hidden, name: 'x' }), 404, 'target-not-found')
  const author = systemIds.next()
  const permissions = ['job:write', 'command:send']
  const role = `writer-${author.slice(0, 8)}`
  await ok(sendAs('ann', 'define-role', { role, permissions }))
  const [mine, theirs] = [await create('define-job', { name: 'mine', steps: noop }), systemIds.next()]
  const other = await create('define-job', { name: 'other', steps: noop })
  await grant(author, role, on('job', mine))
  const define = (jobId: string) => sendAs(author, 'define-job', { jobId, name: 'new', steps: noop })
  const publish = (jobId: string) => sendAs(author, 'publish-job-version', { jobId, steps: noop })
  for (const sent of [define, publish]) {
    const [there, absent] = [
      await refused(t, sent(other), 403, 'forbidden'),
      await refused(t, sent(theirs), 403, 'forbidden'),
    ]
    t.equal(without(other, there), without(theirs, absent))
  }
})

t.test('what a command names must be theirs too', async t => {
  const user = systemIds.next()
  const credentialId = await made.credential()
  const [web, lab] = [await target('web-4', 'prod'), await target('lab-4', 'lab')]
  const other = await create('define-job', { name: 'other', steps: noop })
  await grant(user, 'target-admin', prod)
  await grant(user, 'job-author', everything)
  const absent = systemIds.next()
  await grant(user, 'viewer', prod)
  await refused(t, sendAs(systemIds.next(), 'assign-credential', { targetId: web, credentialId }), 403, 'forbidden')
  const author = systemIds.next()
  const jobId = await create('define-job', { name: 'mine', steps: noop })
  await grant(author, 'job-author', on('job', jobId))
  await grant(author, 'viewer', prod)
  const publish = (more: object) => sendAs(author, 'publish-job-version', { jobId, steps: noop, ...more })
  await refused(t, publish({ credentialId }), 404, 'credential-not-found', { detail: `no credential ${credentialId}` })
  await refused(t, publish({ credentialId: absent }), 404, 'credential-not-found', {
    detail: `no credential ${absent}`,
  })
  await refused(t, publish({ selection: { targetIds: [web, lab] } }), 404, 'target-not-found', {
    detail: `no target ${lab}`,
  })
  const sub = (id: string) => [{ id: 'sub', uses: 'job.run', with: { jobId: id } }]
  await refused(t, publish({ steps: sub(other) }), 404, 'job-not-found', { detail: `no job ${other}` })
  await grant(author, 'operator', on('credential', credentialId))
  await ok(publish({ credentialId, selection: { targetIds: [web] } }))
})

t.test('somebody else’s personal credential is not there but for whoever oversees it', async t => {
  const [owner, writer, chief] = [systemIds.next(), systemIds.next(), systemIds.next()]
  await ok(sendAs('ann', 'define-role', { role: 'writer', permissions: ['credential:write', 'credential:read'] }))
  for (const id of [owner, writer]) await grant(id, 'writer', everything)
  for (const id of [owner, writer]) await grant(id, 'target-admin', everything)
  await grant(chief, 'credential-admin', everything)
  const credentialId = systemIds.next()
  const sealed = { sealId: credentialId, kekId: 'kek-1', fingerprint: 'f'.repeat(64), ciphertextDigest: 'c'.repeat(64) }
  const data = { credentialId, name: 'at home', username: 'deploy', personal: true }
  const meta = { ...made.meta(), actor: { kind: 'user' as const, id: owner } }
  const facts = { secret: { kind: 'password', version: 1, sealed } } as const
  await made.dispatcher.dispatch('credential', { type: 'create-credential', data }, { meta, facts })
  await until('it is known', () => api.catalogue.credential(credentialId) !== undefined)
  const absent = systemIds.next()
  const web = await target('web-11', 'prod')
  const asked = (id: string): Array<[string, object]> => [
    ['revoke-credential', { credentialId: id, reason: 'x' }],
    ['add-credential-version', { credentialId: id, secret: { kind: 'password', password: 'x' } }],
    ['assign-credential', { targetId: web, credentialId: id }],
    ['define-job', { name: 'j', steps: noop, credentialId: id }],
  ]
  await grant(writer, 'job-author', everything)
  for (const [i, [name, body]] of asked(credentialId).entries()) {
    const told = await refused(t, sendAs(writer, name, body), 404, 'credential-not-found')
    const [, other = {}] = asked(absent)[i] ?? []
    // Whether there is such a credential at all is looked at later where it is only named.
    if (i < 2) {
      const ofAbsent = await refused(t, sendAs(writer, name, other), 404, 'credential-not-found')
      t.equal(without(credentialId, told), without(absent, ofAbsent), name)
    }
  }
  await refused(
    t,
    sendAs(chief, 'add-credential-version', asked(credentialId)[1]?.[1] ?? {}),
    403,
    'credential-not-yours',
  )
  await ok(sendAs(owner, 'assign-credential', { targetId: web, credentialId }))
  await ok(sendAs(chief, 'revoke-credential', { credentialId, reason: 'left' }))
})

t.test('a run takes three permissions, each refused apart', async t => {
  const user = systemIds.next()
  const credentialId = await made.credential()
  const [web, lab] = [await target('web-5', 'prod', { credentialId }), await target('lab-5', 'lab', { credentialId })]
  const steps = [{ id: 'uptime', uses: 'ssh.command', with: { command: 'uptime' } }]
  const jobId = await create('define-job', { name: 'uptime', steps })
  const trigger = (targetIds: string[], more: object = {}) =>
    sendAs(user, 'trigger-run', { jobId, selection: { targetIds }, ...more })
  await refused(t, trigger([web]), 403, 'forbidden')
  await grant(user, 'operator', on('job', systemIds.next()))
  await refused(t, trigger([web]), 404, 'job-not-found')
  await grant(user, 'operator', on('job', jobId))
  await refused(t, trigger([web]), 403, 'forbidden', { detail: 'needs target:use on every target of the selection' })
  await grant(user, 'viewer', on('target', web))
  await refused(t, trigger([web]), 403, 'forbidden', {
    detail: 'needs target:use on every target of the selection: not on web-5',
  })
  await grant(user, 'operator', prod)
  await refused(t, trigger([web]), 404, 'credential-not-found', { detail: `no credential ${credentialId}` })
  await grant(user, 'operator', on('credential', credentialId))
  const runId = await create('trigger-run', { jobId, selection: { targetIds: [web] } }, user)
  await refused(t, trigger([web, lab]), 403, 'forbidden', { detail: /every target of the selection$/ })
  await refused(t, trigger([lab], { mode: 'plan' }), 403, 'forbidden')
  t.match(await ok(trigger([web], { mode: 'plan' })), { targets: 1 })
  await ok(sendAs(user, 'rerun', { of: runId }))
  const ofAll = await create('trigger-run', { jobId, selection: { targetIds: [web, lab] } })
  await refused(t, sendAs(user, 'rerun', { of: ofAll }), 403, 'forbidden')
  const parent = await create('define-job', {
    ...{ name: 'parent', steps: [{ id: 'sub', uses: 'job.run', with: { jobId } }] },
    selection: { targetIds: [web] },
  })
  await ok(sendAs('ann', 'publish-job-version', { jobId, steps, selection: { targetIds: [lab] } }))
  await grant(user, 'operator', on('job', parent))
  await refused(t, sendAs(user, 'trigger-run', { jobId: parent }), 403, 'forbidden', {
    detail: /every target of the selection$/,
  })
  await ok(sendAs('ann', 'publish-job-version', { jobId, steps, selection: { targetIds: [web] } }))
  await ok(sendAs(user, 'trigger-run', { jobId: parent }))
})

t.test('a secret that a parameter names must be theirs', async t => {
  const user = systemIds.next()
  const credentialId = await made.credential()
  const web = await target('web-6', 'prod', { credentialId })
  const jobId = await create('define-job', {
    ...{ name: 'secret', steps: noop, selection: { targetIds: [web] } },
    parameters: { token: { type: 'secret', required: true } },
  })
  await grant(user, 'operator', on('job', jobId))
  await grant(user, 'operator', prod)
  const trigger = (token: string) => sendAs(user, 'trigger-run', { jobId, parameters: { token } })
  const absent = systemIds.next()
  const hidden = await refused(t, trigger(credentialId), 404, 'credential-not-found')
  t.equal(
    without(credentialId, hidden),
    without(absent, await refused(t, trigger(absent), 404, 'credential-not-found')),
  )
  await grant(user, 'operator', on('credential', credentialId))
  await ok(trigger(credentialId))
})

t.test('many at once are permitted one by one', async t => {
  const user = systemIds.next()
  const [web, lab] = [await target('web-7', 'prod'), await target('lab-7', 'lab')]
  await grant(user, 'target-admin', prod)
  const lines = [web, lab].map(targetId =>
    JSON.stringify({ command: 'rename-target', data: { targetId, name: 'many' } }),
  )
  const answer = await api.http.inject({
    ...{ method: 'POST', url: '/v1/commands', payload: lines.join('\n') },
    headers: { authorization: `Bearer ${user}`, 'content-type': 'application/x-ndjson' },
  })
  const statuses = answer.body
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).status)
  t.same(statuses, [200, 404])
})

t.test('only runs that may be seen are counted among those to be cancelled', async t => {
  const [user, viewer] = [systemIds.next(), systemIds.next()]
  const web = await target('web-8', 'prod')
  const jobs = await Promise.all(
    ['a', 'b'].map(name => create('define-job', { name, steps: noop, selection: { targetIds: [web] } })),
  )
  const [a = '', b = ''] = jobs
  const [own, other] = [await create('trigger-run', { jobId: a }), await create('trigger-run', { jobId: b })]
  await grant(user, 'operator', on('job', a))
  await grant(viewer, 'operator', on('job', systemIds.next()))
  t.match(await ok(sendAs(viewer, 'cancel-runs', {})), { matched: 0, runs: [] })
  t.match(await ok(sendAs(user, 'cancel-runs', { jobId: b })), { matched: 0, runs: [] })
  const { runs } = await ok(sendAs(user, 'cancel-runs', {}))
  t.same(runs, [{ runId: own, status: 200, cancelled: true }])
  await grant(user, 'viewer', on('job', b))
  const seen = (await ok(sendAs(user, 'cancel-runs', { jobId: b }))).runs
  t.match(seen, [{ runId: other, status: 403, cancelled: false }])
  const keyed = { 'idempotency-key': 'cancel-b' }
  await refused(t, sendAs(user, 'cancel-run', { runId: other }, keyed), 403, 'forbidden', {
    detail: 'needs run:cancel on the run',
  })
  await grant(user, 'operator', on('job', b))
  await ok(sendAs(user, 'cancel-run', { runId: other }, keyed))
})

t.test('nobody gives what they do not hold', async t => {
  const [chief, friend] = [systemIds.next(), systemIds.next()]
  const give = (role: string, scope: object, more: object = {}) =>
    sendAs(chief, 'grant-role', { principal: { kind: 'user', id: friend }, role, scope, reason: 'spec', ...more })
  await grant(chief, 'user-admin', everything)
  await refused(t, give('administrator', everything), 403, 'forbidden', {
    detail: /nobody gives what they do not hold/,
  })
  await refused(t, give('viewer', prod), 403, 'forbidden')
  await ok(give('user-admin', everything))
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  await grant(chief, 'operator', prod, { expiresAt })
  await refused(t, give('operator', prod), 403, 'forbidden', { detail: /on targets env=prod/ })
  await ok(give('operator', { kind: 'labels', labels: 'env=prod,role=web' }, { expiresAt }))
  await refused(t, give('operator', everything, { expiresAt }), 403, 'forbidden')
  await refused(t, sendAs(chief, 'define-role', { role: 'mine', permissions: ['run:read'] }), 403, 'forbidden')
  await refused(t, sendAs('ann', 'define-role', { role: 'mine', permissions: ['grant:any'] }), 400, 'invalid-input')
  const early = systemIds.next()
  await grant(early, 'administrator', everything)
  const invited = { loginName: 'early', userId: early }
  await refused(t, sendAs(chief, 'create-user', invited), 403, 'forbidden', {
    detail: /nobody gives what they do not hold/,
  })
  const groupId = await create('create-group', { name: 'team' })
  const add = (who: string, id: string) => sendAs(who, 'add-to-group', { groupId, member: { kind: 'user', id } })
  await ok(add(chief, friend))
  await create('grant-role', {
    principal: { kind: 'group', id: groupId },
    role: 'viewer',
    scope: everything,
    reason: 'x',
  })
  await refused(t, add(chief, chief), 403, 'forbidden', { detail: /nobody gives/ })
  await ok(add('ann', chief))
  t.match(await ok(sendAs(chief, 'remove-from-group', { groupId, member: { kind: 'user', id: chief } })), {
    events: [{}],
  })
})

t.test('a custom role is what its permissions are, at every moment', async t => {
  const user = systemIds.next()
  const role = 'renamer'
  await ok(sendAs('ann', 'define-role', { role, permissions: ['target:write', 'target:read'] }))
  await grant(user, role, everything)
  const web = await target('web-9', 'prod')
  const rename = (name: string) => sendAs(user, 'rename-target', { targetId: web, name })
  await ok(rename('a'))
  await ok(sendAs('ann', 'change-role', { role, permissions: ['target:read'] }))
  await refused(t, rename('b'), 403, 'forbidden')
  await ok(sendAs('ann', 'change-role', { role, permissions: ['target:write'] }))
  await ok(sendAs('ann', 'retire-role', { role, reason: 'no more' }))
  await refused(t, rename('c'), 403, 'forbidden')
  await refused(
    t,
    sendAs('ann', 'grant-role', { principal: { kind: 'user', id: user }, role, scope: everything, reason: 'x' }),
    409,
    'role-retired',
  )
})
