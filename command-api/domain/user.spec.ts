import t from 'tap'
import type { ErasureCertificate, UserEvent } from '../../schemas/user.ts'
import { specFor } from '../../test/support/decider-spec.ts'
import { erasesNow, linkIsGood, user } from './user.ts'
import { evolveUser, type User } from './user-state.ts'

const userId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const verifierId = '0192d3c4-5e6f-7a8b-9c0d-00000000000b'
const factorId = '0192d3c4-5e6f-7a8b-9c0d-00000000000c'
const [loginIndex, linkHash, newerHash] = ['a'.repeat(64), 'b'.repeat(64), 'c'.repeat(64)]
const reason = 'she asked for it'
const because = { userId, reason }
const tomorrow = '2030-01-02T00:00:00.000Z'
const certificate: ErasureCertificate = {
  ...{ userId, erasedAt: '2030-01-01T00:00:00.000Z', dataKeyDigest: 'd'.repeat(64), records: 3 },
  ...{ publicKey: 'key', signature: 'signature' },
}
const invited: UserEvent = { type: 'UserInvited', data: { userId, loginIndex, linkHash, linkExpiresAt: tomorrow } }
const set: UserEvent = { type: 'UserPasswordChanged', data: { userId, verifierId, by: 'link' } }
const gone: UserEvent = { type: 'UserDeactivated', data: because }
const held: UserEvent = { type: 'LegalHoldPlaced', data: because }
const deferred: UserEvent = { type: 'ErasureDeferred', data: because }
const erased: UserEvent = { type: 'UserPersonalDataErased', data: { ...because, certificate } }
const enrolled: UserEvent = { type: 'MfaFactorEnrolled', data: { userId, factorId, kind: 'totp' } }
const codes: UserEvent = { type: 'RecoveryCodesIssued', data: { userId, setId: verifierId, count: 10 } }

t.test('a user is invited by a link that sets the first passphrase, once and in time', async t => {
  const { given } = specFor(t, user)
  const create = { type: 'create-user' as const, data: { userId, linkSeconds: 86_400 } }
  given().when(create, { loginIndex, linkHash }).thenRecords(invited)
  given(invited).when(create, { loginIndex, linkHash }).thenRejects('user-already-exists')
  const byLink = { type: 'set-passphrase' as const, data: { userId, verifierId, linkHash } }
  given(invited).when(byLink, {}).thenRecords(set)
  given(invited, set).when(byLink, {}).thenRejects('link-invalid')
  given(invited, gone).when(byLink, {}).thenRejects('link-invalid')
  given({ ...invited, data: { ...invited.data, linkExpiresAt: '2030-01-01T00:00:00.000Z' } })
    .when(byLink, {})
    .thenRejects('link-invalid')
  given(invited).when({ type: 'set-passphrase', data: { userId, verifierId } }, {}).thenRejects('user-not-registered')
})

t.test('a newer link takes the place of the older one', async t => {
  const { given } = specFor(t, user)
  const reset: UserEvent = {
    type: 'UserPasswordResetRequested',
    data: { ...because, linkHash: newerHash, linkExpiresAt: tomorrow },
  }
  const command = { type: 'create-reset-link' as const, data: { ...because, linkSeconds: 86_400 } }
  given(invited, set).when(command, { linkHash: newerHash }).thenRecords(reset)
  given(invited, set, reset).when(command, { linkHash: newerHash }).thenNothing()
  given(invited, gone).when(command, { linkHash: newerHash }).thenRejects('user-deactivated')
  const state = [invited, reset].reduce<User>(evolveUser, { status: 'absent' })
  t.equal(linkIsGood(state, linkHash, '2030-01-01T00:00:00.000Z'), false)
  t.equal(linkIsGood(state, newerHash, '2030-01-01T00:00:00.000Z'), true)
  t.equal(linkIsGood({ status: 'absent' }, newerHash, '2030-01-01T00:00:00.000Z'), false)
})

t.test('a passphrase can be changed, and be required to change', async t => {
  const { given } = specFor(t, user)
  const required: UserEvent = { type: 'UserPasswordChangeRequired', data: because }
  given(invited, set)
    .when({ type: 'set-passphrase', data: { userId, verifierId: factorId } }, {})
    .thenRecords({ type: 'UserPasswordChanged', data: { userId, verifierId: factorId, by: 'user' } })
  given(invited, set).when({ type: 'require-passphrase-change', data: because }, {}).thenRecords(required)
  given(invited, set, required).when({ type: 'require-passphrase-change', data: because }, {}).thenNothing()
  given(invited).when({ type: 'require-passphrase-change', data: because }, {}).thenNothing()
})

t.test('what is known of nobody cannot change', async t => {
  const { given } = specFor(t, user)
  given().when({ type: 'deactivate-user', data: because }, {}).thenRejects('user-not-found')
  given(invited, erased)
    .when({ type: 'change-user-profile', data: { userId, fields: ['email'] } }, {})
    .thenRejects('user-erased')
})

t.test('profile: what changed is told, who it is is not', async t => {
  const { given } = specFor(t, user)
  const change = { type: 'change-user-profile' as const, data: { userId, fields: ['loginName' as const] } }
  given(invited).when(change, { changedFields: [] }).thenNothing()
  given(invited)
    .when(change, { loginIndex: newerHash, changedFields: ['loginName'] })
    .thenRecords({ type: 'UserProfileChanged', data: { userId, fields: ['loginName'], loginIndex: newerHash } })
})

t.test('deactivated and back', async t => {
  const { given } = specFor(t, user)
  given(invited, set).when({ type: 'deactivate-user', data: because }, {}).thenRecords(gone)
  given(invited, set, gone).when({ type: 'deactivate-user', data: because }, {}).thenNothing()
  const back: UserEvent = { type: 'UserReactivated', data: because }
  given(invited, set, gone).when({ type: 'reactivate-user', data: because }, {}).thenRecords(back)
  given(invited, set).when({ type: 'reactivate-user', data: because }, {}).thenNothing()
  const stateOf = (...events: UserEvent[]) => events.reduce<User>(evolveUser, { status: 'absent' }).status
  t.equal(stateOf(invited, gone, back), 'invited', 'who never had a passphrase still has none')
  t.equal(stateOf(invited, set, gone, back), 'active')
})

t.test('locks are told and lifted', async t => {
  const { given } = specFor(t, user)
  const lock: UserEvent = { type: 'UserLocked', data: { userId, what: 'passphrase', until: tomorrow } }
  given(invited, set)
    .when({ type: 'lock-user', data: { userId, what: 'passphrase', until: tomorrow } }, {})
    .thenRecords(lock)
  given(invited, set).when({ type: 'unlock-user', data: because }, {}).thenNothing()
  given(invited, set, lock)
    .when({ type: 'unlock-user', data: because }, {})
    .thenRecords({ type: 'UserUnlocked', data: because })
})

t.test('second factors and what stands in for them', async t => {
  const { given } = specFor(t, user)
  const enrol = { type: 'enrol-second-factor' as const, data: { userId, factorId, kind: 'totp' as const } }
  given(invited, set).when(enrol, {}).thenRecords(enrolled)
  given(invited, set, enrolled).when(enrol, {}).thenNothing()
  const use = { type: 'use-recovery-code' as const, data: { userId, setId: verifierId, left: 9 } }
  given(invited, set, enrolled, codes).when(use, {}).thenRecords({ type: 'RecoveryCodeUsed', data: use.data })
  given(invited, set, enrolled).when(use, {}).thenRejects('second-factor-unknown')
  given(invited, set, enrolled, codes)
    .when({ type: 'remove-second-factors', data: because }, {})
    .thenRecords({ type: 'MfaFactorRemoved', data: { ...because, factorId } })
  const remove = { type: 'remove-second-factor' as const, data: { userId, factorId } }
  given(invited, set).when(remove, {}).thenRejects('second-factor-unknown')
  given(invited, set, enrolled).when(remove, {}).thenRecords({ type: 'MfaFactorRemoved', data: remove.data })
  given(invited, set, enrolled, codes, { type: 'MfaFactorRemoved', data: remove.data })
    .when(use, {})
    .thenRejects('second-factor-unknown')
})

t.test('erasure waits for a legal hold and follows at once when it is released', async t => {
  const { given } = specFor(t, user)
  const erase = { type: 'erase-personal-data' as const, data: because }
  const release = { type: 'release-legal-hold' as const, data: because }
  const released: UserEvent = { type: 'LegalHoldReleased', data: because }
  given(invited, set).when(erase, { certificate }).thenRecords(erased)
  given(invited, set, erased).when(erase, {}).thenNothing()
  given(invited, held).when({ type: 'place-legal-hold', data: because }, {}).thenNothing()
  given(invited, held).when(erase, {}).thenRecords(deferred)
  given(invited, held, deferred).when(erase, {}).thenNothing()
  given(invited, held).when(release, {}).thenRecords(released)
  given(invited).when(release, {}).thenNothing()
  given(invited, held, deferred).when(release, { certificate }).thenRecords(released, erased)
  const state = (...events: UserEvent[]) => events.reduce<User>(evolveUser, { status: 'absent' })
  t.equal(erasesNow('erase-personal-data', state(invited)), true)
  t.equal(erasesNow('erase-personal-data', state(invited, held)), false)
  t.equal(erasesNow('release-legal-hold', state(invited, held)), false)
  t.equal(erasesNow('release-legal-hold', state(invited, held, deferred)), true)
  t.equal(erasesNow('erase-personal-data', state(invited, erased)), false)
})

t.test('who comes through a trusted provider is registered once', async t => {
  const { given } = specFor(t, user)
  const data = { userId, loginIndex, issuer: 'https://id.example.org' }
  given().when({ type: 'register-external-user', data }, {}).thenRecords({ type: 'UserRegistered', data })
  given({ type: 'UserRegistered', data }).when({ type: 'register-external-user', data }, {}).thenNothing()
})

t.test('ten second factors are more than anybody carries', async t => {
  const { given } = specFor(t, user)
  const of = (n: number) => ({ userId, factorId: factorId.replace(/.$/, n.toString(16)), kind: 'totp' as const })
  const enrol = (n: number) => ({ type: 'enrol-second-factor' as const, data: of(n) })
  const ten = Array.from({ length: 10 }, (_, n): UserEvent => ({ type: 'MfaFactorEnrolled', data: of(n) }))
  given(invited, set, ...ten.slice(1))
    .when(enrol(0), {})
    .thenRecords({ type: 'MfaFactorEnrolled', data: of(0) })
  given(invited, set, ...ten)
    .when(enrol(10), {})
    .thenRejects('conflict')
  given(invited, set, ...ten)
    .when(enrol(3), {})
    .thenNothing()
})
