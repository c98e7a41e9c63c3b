import t from 'tap'
import type { Recorded } from '../../schemas/events.ts'
import { permissionNames } from '../../schemas/permissions.ts'
import { applyEvent, copyOf, createAccessState, isTakenIn, judge, revocationsOf, takeAway } from '../access.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`
const user = (n: number) => ({ kind: 'user', id: id(n) }) as const
const account = { kind: 'service-account', id: id(5) } as const
const key = { kind: 'api-key', id: id(6) } as const
const everything = { kind: 'everything' } as const
const at = '2030-01-01T12:00:00.000Z'
const everybody = [user(1), user(2), user(3), user(4), account, key]

/** People with rights of every kind, and what happens next. */
function world() {
  const state = createAccessState()
  const revisions = new Map<string, bigint>()
  const next = (stream: string, type: string, data: object): Recorded => {
    const revision = (revisions.get(stream) ?? -1n) + 1n
    revisions.set(stream, revision)
    // Only what is looked at.
    return { stream, revision, type, data, metadata: { at, actor: user(9) } } as unknown as Recorded
  }
  const tell = (...event: Parameters<typeof next>) => applyEvent(state, next(...event))
  const grant = (n: number, principal: object, role: string) =>
    tell(`grant-${id(n)}`, 'RoleGranted', { grantId: id(n), principal, role, scope: everything, reason: 'spec' })
  tell('role-watcher', 'RoleDefined', { role: 'watcher', permissions: ['job:read', 'run:read'] })
  tell(`group-${id(20)}`, 'GroupCreated', { groupId: id(20), name: 'team' })
  tell(`group-${id(20)}`, 'GroupMemberAdded', { groupId: id(20), member: user(2) })
  const owned = { keyId: id(6), name: 'ci', owner: account, secretHash: 'ab', expiresAt: '2031-01-01T00:00:00.000Z' }
  tell(`apikey-${id(6)}`, 'ApiKeyIssued', owned)
  grant(10, user(1), 'watcher')
  grant(11, { kind: 'group', id: id(20) }, 'operator')
  grant(12, user(3), 'auditor')
  grant(13, account, 'operator')
  const broken = { breakGlassId: id(30), principal: user(4), reason: 'down', ticket: 'INC-1', minutes: 5 }
  tell(`breakglass-${id(30)}`, 'BreakGlassActivated', { ...broken, until: '2030-01-01T12:05:00.000Z' })
  return { state, next }
}
const rights = (state: ReturnType<typeof world>['state']) =>
  everybody.map(who => permissionNames.filter(each => judge(state, who, each, undefined, Date.parse(at)).allowed))

const ends: Array<[stream: string, type: string, data: object]> = [
  [`grant-${id(10)}`, 'RoleRevoked', { grantId: id(10), reason: 'left' }],
  ['role-watcher', 'RolePermissionRemoved', { role: 'watcher', permission: 'run:read' }],
  ['role-watcher', 'RoleRetired', { role: 'watcher', reason: 'old' }],
  [`group-${id(20)}`, 'GroupMemberRemoved', { groupId: id(20), member: user(2) }],
  [`user-${id(3)}`, 'UserDeactivated', { userId: id(3), reason: 'left' }],
  [`user-${id(3)}`, 'UserPersonalDataErased', { userId: id(3) }],
  [`serviceaccount-${id(5)}`, 'ServiceAccountDisabled', { serviceAccountId: id(5), reason: 'old' }],
  [`apikey-${id(6)}`, 'ApiKeyRevoked', { keyId: id(6), reason: 'leaked' }],
  [`breakglass-${id(30)}`, 'BreakGlassEnded', { breakGlassId: id(30), why: 'given-back' }],
]

t.test('what is taken away ahead of an event is what the event takes away', async t => {
  for (const [stream, type, data] of ends) {
    const { state, next } = world()
    const before = rights(state)
    const event = next(stream, type, data)
    const ahead = copyOf(state)
    const revocations = revocationsOf(event)
    t.ok(revocations.length > 0, type)
    for (const each of revocations) {
      t.notOk(isTakenIn(ahead, each), type)
      takeAway(ahead, each)
    }
    t.same(rights(state), before, `${type}: only in the copy`)
    applyEvent(state, event)
    t.notSame(rights(state), before, type)
    t.same(rights(ahead), rights(state), type)
    for (const each of revocations) t.ok(isTakenIn(state, each), type)
  }
})

t.test('of what is not known there is nothing to take away, but who may come in', async t => {
  for (const [stream, type, data] of ends) {
    const empty = createAccessState()
    for (const each of revocationsOf(world().next(stream, type, data))) takeAway(empty, each)
    const all = rights(empty).flat()
    t.ok(
      all.every(each => each.startsWith('self:')),
      `${type} ${all}`,
    )
  }
})

t.test('what gives something, or is about sessions only, takes no right away', async t => {
  const { state, next } = world()
  const given = { grantId: id(40), principal: user(1), role: 'viewer', scope: everything, reason: 'spec' }
  t.same(revocationsOf(next(`grant-${id(40)}`, 'RoleGranted', given)), [])
  const session = next(`session-${id(50)}`, 'LoggedOut', { sessionId: id(50), userId: id(1) })
  t.match(revocationsOf(session), [{ revision: '0', at, over: { kind: 'session', sessionId: id(50) } }])
  const changed = next(`user-${id(1)}`, 'UserPasswordChanged', { userId: id(1) })
  t.match(revocationsOf(changed), [{ over: { kind: 'sessions', userId: id(1) } }])
  const before = rights(state)
  for (const each of [session, changed].flatMap(revocationsOf)) takeAway(state, each)
  t.same(rights(state), before)
})
