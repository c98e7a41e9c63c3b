import t from 'tap'
import type { PrincipalRef, Scope } from '../../schemas/access.ts'
import type { Recorded } from '../../schemas/events.ts'
import {
  administratorHolder,
  administrators,
  applyEvent,
  createAccessState,
  type HeldScope,
  holderOf,
  lacking,
  lackingOf,
  putPrincipal,
} from '../access.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`
type User = { kind: 'user'; id: string }
const person = (n: number): User => ({ kind: 'user', id: id(n) })
const [ann, bob, carla] = [person(1), person(2), person(3)]
const team = { kind: 'group', id: id(4) } as const
const noon = Date.parse('2030-01-01T12:00:00.000Z')
const evening = '2030-01-01T18:00:00.000Z'
const forEver = Number.POSITIVE_INFINITY
const everything: Scope = { kind: 'everything' }
const labelled = (labels: string): Scope => ({ kind: 'labels', labels })
const on = (kind: 'job' | 'target', n: number): Scope => ({ kind: 'resource', resource: { kind, id: id(n) } })

function world() {
  const state = createAccessState()
  const revisions = new Map<string, bigint>()
  const tell = (stream: string, type: string, data: object) => {
    const revision = (revisions.get(stream) ?? -1n) + 1n
    revisions.set(stream, revision)
    // Only what the fold looks at.
    applyEvent(state, { stream, revision, type, data } as unknown as Recorded)
  }
  let grants = 100
  const grant = (principal: PrincipalRef, role: string, scope: Scope, expiresAt?: string) => {
    const grantId = id(grants++)
    const end = expiresAt !== undefined && { expiresAt }
    tell(`grant-${grantId}`, 'RoleGranted', { grantId, principal, role, scope, reason: 'because', ...end })
    return grantId
  }
  const join = (member: PrincipalRef) => tell(`group-${team.id}`, 'GroupMemberAdded', { groupId: team.id, member })
  tell(`group-${team.id}`, 'GroupCreated', { groupId: team.id, name: 'team' })
  const holder = (who: User) =>
    holderOf({ state: () => state, who, actor: who, clock: { now: () => new Date(noon).toISOString() } })
  const lacks = (who: User, permissions: string[], scope: HeldScope, until = forEver) =>
    lacking(holder(who), { permissions, scope, until })
  return { state, tell, grant, join, holder, lacks }
}

t.test('nobody hands on what they do not hold there', async t => {
  const { grant, lacks } = world()
  grant(ann, 'operator', labelled('env=prod'))
  t.equal(lacks(ann, ['target:read', 'target:use'], labelled('env=prod')), undefined)
  t.equal(lacks(ann, ['target:read'], labelled('env=prod,role=web')), undefined, 'a part of it')
  t.equal(lacks(ann, ['target:read'], labelled('role=web')), 'target:read on targets role=web')
  t.equal(lacks(ann, ['target:read'], everything), 'target:read on everything')
  t.equal(lacks(ann, ['target:read', 'target:write'], labelled('env=prod')), 'target:write on targets env=prod')
  t.equal(lacks(bob, ['target:read'], on('target', 20)), `target:read on target ${id(20)}`)
})

t.test('what means nothing there is not asked for, and what has no place is asked for anywhere', async t => {
  const { grant, lacks } = world()
  grant(ann, 'viewer', on('job', 30))
  t.equal(lacks(ann, ['job:read', 'run:read', 'target:read', 'credential:write'], on('job', 30)), undefined)
  t.equal(lacks(ann, ['job:read'], on('job', 31)), `job:read on job ${id(31)}`)
  t.equal(lacks(ann, ['status:read'], everything), undefined)
  t.equal(lacks(bob, ['status:read'], everything), 'status:read on everything')
})

t.test('nor for longer than they hold it', async t => {
  const { grant, lacks } = world()
  grant(ann, 'viewer', everything, evening)
  t.equal(lacks(ann, ['target:read'], everything, Date.parse(evening)), undefined)
  t.equal(lacks(ann, ['target:read'], everything, Date.parse(evening) + 1), 'target:read on everything')
  t.equal(lacks(ann, ['target:read'], everything), 'target:read on everything')
})

t.test('what holds in both of two places is held by who holds either', async t => {
  const { grant, lacks } = world()
  const both: HeldScope = { kind: 'all-of', of: [labelled('env=prod'), labelled('role=web')] }
  t.match(lacks(ann, ['target:read'], both), /^target:read on /)
  grant(ann, 'viewer', labelled('role=web'))
  t.equal(lacks(ann, ['target:read'], both), undefined)
  grant(bob, 'viewer', labelled('zone=eu'))
  t.match(lacks(bob, ['target:read'], both), /^target:read on /)
})

t.test('who may grant anything may, and only as long', async t => {
  const given = { permissions: ['target:write'], scope: everything, until: forEver }
  t.equal(lacking(administratorHolder(ann), given), undefined)
  t.equal(
    lacking(
      administratorHolder(ann, () => false),
      given,
    ),
    'target:write on everything',
  )
})

t.test('who becomes somebody else holds all that they hold', async t => {
  const { state, grant, join, holder } = world()
  const lacks = (who: User, other: PrincipalRef) => lackingOf(holder(who), state, other)
  t.equal(lacks(ann, bob), undefined, 'nobody in particular')
  grant(bob, 'viewer', labelled('env=prod'))
  grant(ann, 'viewer', labelled('env=prod'))
  t.equal(lacks(ann, bob), undefined)
  grant(team, 'operator', labelled('env=prod'))
  t.match(lacks(ann, team), /^\S+ on targets env=prod$/)
  join(bob)
  t.match(lacks(ann, bob), /^\S+ on targets env=prod$/, 'by their groups too')
  join(ann)
  t.equal(lacks(ann, bob), undefined)
})

t.test('administrators hold everything, everywhere, for ever, and are there', async t => {
  const { state, tell, grant, join } = world()
  t.same(administrators(state), [])
  grant(ann, 'administrator', everything, evening)
  grant(ann, 'administrator', labelled('env=prod'))
  grant(ann, 'user-admin', everything)
  t.same(administrators(state), [])
  const grantId = grant(bob, 'administrator', everything)
  t.same(administrators(state), [bob])
  join(carla)
  grant(team, 'administrator', everything)
  t.same(administrators(state), [bob, carla], 'by a group too')
  putPrincipal(state, carla, { active: false })
  t.same(administrators(state), [bob])
  tell(`grant-${grantId}`, 'RoleRevoked', { grantId, reason: 'left' })
  t.same(administrators(state), [])
})
