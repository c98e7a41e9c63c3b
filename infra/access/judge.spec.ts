import t from 'tap'
import type { Scope } from '../../schemas/access.ts'
import type { Recorded } from '../../schemas/events.ts'
import {
  applyEvent,
  copyOf,
  createAccessState,
  explain,
  holderOf,
  judge,
  liesWithin,
  putPrincipal,
  putVersion,
  rolesOf,
  scopesOf,
  scopeText,
} from '../access.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`
const ann = { kind: 'user', id: id(1) } as const
const bob = { kind: 'user', id: id(2) } as const
const key = { kind: 'api-key', id: id(3) } as const
const team = { kind: 'group', id: id(4) } as const
const noon = Date.parse('2030-01-01T12:00:00.000Z')
const prod: Scope = { kind: 'labels', labels: 'env=prod' }
const on = (kind: 'job' | 'target' | 'run' | 'credential', of: number): Scope => ({
  kind: 'resource',
  resource: { kind, id: id(of) },
})
const web = { kind: 'target', id: id(20), tags: { env: 'prod', role: 'web' } }
const lab = { kind: 'target', id: id(21), tags: { env: 'lab' } }

/** Events as the log gives them; the revisions are counted for each stream. */
function world() {
  const state = createAccessState()
  const revisions = new Map<string, bigint>()
  const tell = (stream: string, type: string, data: object) => {
    const revision = (revisions.get(stream) ?? -1n) + 1n
    revisions.set(stream, revision)
    // Only what the fold looks at.
    const event = { stream, revision, type, data } as unknown as Recorded
    applyEvent(state, event)
    return event
  }
  const grant = (n: number, principal: object, role: string, scope: Scope, expiresAt?: string) =>
    tell(`grant-${id(n)}`, 'RoleGranted', {
      ...{ grantId: id(n), principal, role, scope, reason: 'because' },
      ...(expiresAt !== undefined && { expiresAt }),
    })
  const may = (who: typeof ann | typeof key, permission: string, resource?: object, now = noon) =>
    judge(state, who, permission, resource as typeof web | undefined, now)
  return { state, tell, grant, may }
}

t.test('nobody may do anything that was not granted', async t => {
  const { grant, may } = world()
  t.same(may(ann, 'target:read'), { allowed: false, why: 'not-granted' })
  t.same(may(ann, 'self:read'), { allowed: true, why: 'everybody' })
  grant(10, ann, 'viewer', prod)
  t.same(may(ann, 'target:read', web), { allowed: true, why: 'granted', grantId: id(10), role: 'viewer' })
  t.same(may(ann, 'target:read', lab), { allowed: false, why: 'out-of-scope' })
  t.same(may(ann, 'target:read', { kind: 'target', id: id(20) }), { allowed: false, why: 'out-of-scope' }, 'no tags')
  t.same(may(ann, 'target:write', web), { allowed: false, why: 'not-granted' })
  t.same(may(bob, 'target:read', web), { allowed: false, why: 'not-granted' })
  t.equal(may(ann, 'job:read').allowed, false, 'labels are those of targets')
  t.equal(may(ann, 'status:read').allowed, true, 'what is about nothing has no scope')
})

t.test('a run belongs to its job', async t => {
  const { grant, may } = world()
  grant(10, ann, 'operator', on('job', 30))
  grant(11, ann, 'viewer', on('run', 40))
  t.equal(may(ann, 'run:cancel', { kind: 'run', id: id(41), jobId: id(30) }).allowed, true)
  t.equal(may(ann, 'run:cancel', { kind: 'run', id: id(41), jobId: id(31) }).allowed, false)
  t.equal(may(ann, 'run:read', { kind: 'run', id: id(40), jobId: id(31) }).allowed, true)
  t.equal(may(ann, 'run:cancel', { kind: 'run', id: id(40), jobId: id(31) }).allowed, false)
  t.equal(may(ann, 'credential:use').allowed, false, 'a grant on a job is about no credential')
})

t.test('a grant ends by the clock, by being revoked, and with its role', async t => {
  const { grant, may, tell, state } = world()
  tell('role-night', 'RoleDefined', { role: 'night', permissions: ['run:read'] })
  grant(10, ann, 'night', { kind: 'everything' }, '2030-01-01T12:00:01.000Z')
  grant(11, bob, 'night', { kind: 'everything' })
  t.match(may(ann, 'run:read'), { allowed: true, until: '2030-01-01T12:00:01.000Z' })
  t.same(may(ann, 'run:read', undefined, noon + 1000), { allowed: false, why: 'expired' })
  t.same(scopesOf(state, ann, 'run:read', noon + 1000), [])
  t.same(rolesOf(state, ann, noon), ['night'])
  t.same(rolesOf(state, ann, noon + 1000), [])
  tell('role-night', 'RolePermissionAdded', { role: 'night', permission: 'run:cancel' })
  t.equal(may(bob, 'run:cancel').allowed, true)
  tell('role-night', 'RolePermissionRemoved', { role: 'night', permission: 'run:cancel' })
  t.equal(may(bob, 'run:cancel').allowed, false)
  tell(`grant-${id(11)}`, 'RoleRevoked', { grantId: id(11), reason: 'left' })
  t.same(may(bob, 'run:read'), { allowed: false, why: 'not-granted' })
  tell(`grant-${id(10)}`, 'RoleGrantExpired', { grantId: id(10), expiresAt: '2030-01-01T12:00:01.000Z' })
  t.equal(may(ann, 'run:read').allowed, false)
  grant(12, ann, 'night', { kind: 'everything' })
  tell('role-night', 'RoleRetired', { role: 'night', reason: 'no night' })
  t.equal(may(ann, 'run:read').allowed, false)
})

t.test('a group gives what it was granted, as long as one is in it', async t => {
  const { grant, may, tell } = world()
  tell(`group-${team.id}`, 'GroupCreated', { groupId: team.id, name: 'team' })
  grant(10, team, 'viewer', { kind: 'everything' })
  tell(`group-${team.id}`, 'GroupMemberAdded', { groupId: team.id, member: ann })
  t.match(may(ann, 'job:read'), { allowed: true, via: team.id, grantId: id(10) })
  t.equal(may(bob, 'job:read').allowed, false)
  tell(`group-${team.id}`, 'GroupMemberRemoved', { groupId: team.id, member: ann })
  t.equal(may(ann, 'job:read').allowed, false)
})

t.test('a key may do at most what its owner may, and stops with them', async t => {
  const { grant, may, state } = world()
  grant(10, ann, 'operator', { kind: 'everything' })
  const within = [{ permissions: ['run:read', 'target:read'], scope: prod }, { scope: on('job', 30) }]
  putPrincipal(state, key, { active: true, owner: ann, within })
  t.equal(may(key, 'target:read', web).allowed, true)
  t.equal(may(key, 'target:read', lab).allowed, false)
  t.equal(may(key, 'run:trigger', { kind: 'job', id: id(30) }).allowed, true)
  t.equal(may(key, 'run:trigger', { kind: 'job', id: id(31) }).allowed, false)
  t.same(scopesOf(state, key, 'run:trigger', noon), [on('job', 30)])
  grant(11, ann, 'target-admin', { kind: 'labels', labels: 'role=web' })
  putPrincipal(state, key, { active: true, owner: ann, within: [{ permissions: ['target:write'], scope: prod }] })
  t.same(scopesOf(state, key, 'target:write', noon).map(scopeText), ['targets role=web within targets env=prod'])
  t.equal(may(key, 'target:write', web).allowed, true)
  t.equal(may(key, 'target:write', { ...web, tags: { role: 'web' } }).allowed, false)
  putPrincipal(state, key, { active: true, owner: ann, expiresAt: noon })
  t.same(may(key, 'self:read'), { allowed: false, why: 'expired' })
  putPrincipal(state, key, { active: true, owner: ann })
  t.equal(may(key, 'run:trigger').allowed, true)
  putPrincipal(state, ann, { active: false })
  t.same(may(key, 'run:trigger'), { allowed: false, why: 'inactive' })
  t.same(may(ann, 'self:read'), { allowed: false, why: 'inactive' })
})

t.test('the scopes of a key narrow the grants of its owner, and a refusal says that it was the key', async t => {
  const { grant, may, state, tell } = world()
  const issued = { keyId: key.id, name: 'nightly', owner: ann, secretHash: 'a'.repeat(64) }
  const expiresAt = '2031-01-01T00:00:00.000Z'
  const scopes: Scope[] = [{ kind: 'labels', labels: 'role=web' }, on('job', 30)]
  tell(`apikey-${key.id}`, 'ApiKeyIssued', { ...issued, expiresAt, scopes })
  t.same(may(key, 'target:read', web), { allowed: false, why: 'not-granted' })
  grant(10, ann, 'operator', prod)
  t.match(may(key, 'target:read', web), { allowed: true, grantId: id(10) })
  const plain = { kind: 'target', id: id(22), tags: { env: 'prod' } }
  t.equal(may(ann, 'target:read', plain).allowed, true)
  t.same(may(key, 'target:read', plain), { allowed: false, why: 'outside-key' }, 'of the owner, not of the key')
  t.same(may(key, 'target:read', { ...web, tags: { role: 'web' } }), { allowed: false, why: 'out-of-scope' })
  t.same(may(key, 'run:trigger', { kind: 'job', id: id(30) }), { allowed: false, why: 'not-granted' })
  grant(11, ann, 'operator', { kind: 'everything' }, '2030-01-01T13:00:00.000Z')
  t.equal(may(key, 'run:trigger', { kind: 'job', id: id(30) }).allowed, true)
  t.same(may(key, 'run:trigger', { kind: 'job', id: id(31) }), { allowed: false, why: 'outside-key' })
  t.equal(may(key, 'run:read', { kind: 'run', id: id(40), jobId: id(30) }).allowed, true, 'a run of its job')
  t.match(explain(state, key, 'target:use', plain, noon), {
    judgement: { allowed: false, why: 'outside-key' },
    considered: [
      { grantId: id(10), scope: 'targets env=prod', verdict: 'outside-key' },
      { grantId: id(11), scope: 'everything', verdict: 'outside-key' },
    ],
    narrowedTo: ['all that its owner may on targets role=web', `all that its owner may on job ${id(30)}`],
  })
  t.match(explain(state, key, 'target:use', web, noon).considered, [{ verdict: 'permits' }, { verdict: 'permits' }])
  grant(12, key, 'viewer', on('target', 22))
  t.match(
    may(key, 'target:read', plain),
    { allowed: true, grantId: id(12) },
    'what it was granted itself is not narrowed',
  )
  t.match(explain(state, key, 'target:read', plain, noon).considered, [{ grantId: id(12), verdict: 'permits' }, {}, {}])
  t.equal(explain(state, ann, 'target:use', plain, noon).narrowedTo, null)
  const row = { ...issued, expiresAt, status: 'active', permissions: ['target:read'], lastUsedAt: null }
  putVersion(state, 'apikey', { id: key.id, revision: 1n, state: row })
  t.equal(may(key, 'target:read', { ...plain, id: id(23) }).allowed, true, 'a row from before there were scopes')
  t.same(may(key, 'target:use', plain), { allowed: false, why: 'outside-key' })
  putVersion(state, 'apikey', { id: key.id, revision: 2n, state: { ...row, scopes } })
  t.same(scopesOf(state, key, 'target:read', noon).map(scopeText).slice(1), [
    'targets env=prod within targets role=web',
    'targets role=web',
  ])
  t.same(may(key, 'target:read', { ...plain, id: id(23) }), { allowed: false, why: 'outside-key' })
})

t.test('events count once and in order', async t => {
  const { grant, may, state, tell } = world()
  const given = grant(10, ann, 'viewer', { kind: 'everything' })
  tell(`grant-${id(10)}`, 'RoleRevoked', { grantId: id(10), reason: 'left' })
  t.equal(applyEvent(state, given), false, 'what is known already')
  t.equal(may(ann, 'job:read').allowed, false)
  const elsewhere = (stream: string, change: object) => Object.assign({}, given, { stream }, change)
  t.equal(applyEvent(state, elsewhere(`grant-${id(11)}`, { revision: 1n })), false, 'what comes too early')
  t.equal(applyEvent(state, elsewhere(`target-${id(11)}`, {})), false, 'what is about something else')
  const tried = copyOf(state)
  applyEvent(tried, elsewhere(`grant-${id(12)}`, { data: { ...given.data, grantId: id(12) } }))
  t.equal(judge(tried, ann, 'job:read', undefined, noon).allowed, true)
  t.equal(may(ann, 'job:read').allowed, false, 'trying out changes nothing')
})

t.test('a holder answers anew each time', async t => {
  const { grant, state } = world()
  let now = '2030-01-01T12:00:00.000Z'
  const actor = { kind: 'user', id: ann.id } as const
  const holder = holderOf({ state: () => state, who: ann, actor, clock: { now: () => now } })
  t.equal(holder.permits('target:read'), false)
  grant(10, ann, 'viewer', prod, '2030-01-01T13:00:00.000Z')
  t.equal(holder.permits('target:read'), true)
  t.equal(holder.permitsOn('target:read', web), true)
  t.equal(holder.permitsOn('target:read', lab), false)
  t.same(holder.scopes('target:read'), [prod])
  now = '2030-01-01T13:00:00.000Z'
  t.equal(holder.permits('target:read'), false)
  t.same(holder.scopes('target:read'), [])
})

t.test('what lies within what is told by the words alone', async t => {
  const labels = (text: string): Scope => ({ kind: 'labels', labels: text })
  t.equal(liesWithin(labels('env=prod,role=web'), prod), true)
  t.equal(liesWithin(labels('role = web, env == prod'), labels('env=prod,role=web')), true)
  t.equal(liesWithin(labels('role=web'), prod), false)
  t.equal(liesWithin(labels('env in (prod,lab)'), prod), false)
  t.equal(liesWithin({ kind: 'everything' }, prod), false)
  t.equal(liesWithin(prod, { kind: 'everything' }), true)
  t.equal(liesWithin(on('target', 20), prod), false, 'its tags may change')
  t.equal(liesWithin(on('job', 30), on('job', 30)), true)
  t.equal(liesWithin(on('job', 30), on('job', 31)), false)
})
