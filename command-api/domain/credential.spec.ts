import t from 'tap'
import { specFor, specMeta } from '../../test/support/decider-spec.ts'
import { credential } from './credential.ts'
import { isOthers } from './credential-owner.ts'
import { fold } from './decider.ts'

const credentialId = '0192d3c4-5e6f-7a8b-9c0d-00000000000c'
const described = { credentialId, name: 'deploy', username: 'deploy' }
const secret = (version: number, mark = 'a') => ({
  kind: 'password' as const,
  version,
  sealed: { sealId: credentialId, kekId: 'kek-1', fingerprint: mark.repeat(64), ciphertextDigest: 'd'.repeat(64) },
})
const added = (version: number, mark = 'a') => ({
  type: 'CredentialVersionAdded' as const,
  data: { credentialId, version, kind: 'password' as const, ...secret(version, mark).sealed },
})
const created = { type: 'CredentialCreated', data: { ...described, kind: 'password' } } as const
const revoked = { type: 'CredentialRevoked', data: { credentialId, reason: 'leaked' } } as const
const create = { type: 'create-credential', data: described } as const
const add = { type: 'add-credential-version', data: { credentialId } } as const
const revoke = { type: 'revoke-credential', data: { credentialId, reason: 'leaked' } } as const

t.test('a credential is created with version 1', async t => {
  const spec = specFor(t, credential)
  spec
    .given()
    .when(create, { secret: secret(1) })
    .thenRecords(created, added(1))
  spec
    .given(created, added(1))
    .when(create, { secret: secret(1) })
    .thenNothing()
  spec
    .given(created, added(1))
    .when(create, { secret: secret(1, 'b') })
    .thenRejects('credential-already-exists')
  spec
    .given(created, added(1), revoked)
    .when(create, { secret: secret(1) })
    .thenRejects('credential-already-exists')
})
t.test('a new secret is the next version', async t => {
  const spec = specFor(t, credential)
  spec
    .given(created, added(1))
    .when(add, { secret: secret(2, 'b') })
    .thenRecords(added(2, 'b'))
  spec
    .given(created, added(1))
    .when(add, { secret: secret(2, 'a') })
    .thenNothing()
  spec.given().when(add, {}).thenRejects('credential-not-found')
})
t.test('what was sealed for another version is not taken', async t => {
  specFor(t, credential)
    .given(created, added(1), added(2, 'b'))
    .when(add, { secret: secret(2, 'c') })
    .thenRejects('conflict')
  specFor(t, credential).given().when(create, {}).thenRejects('conflict')
})
t.test('a revoked credential stays revoked', async t => {
  const spec = specFor(t, credential)
  spec.given(created, added(1)).when(revoke, {}).thenRecords(revoked)
  spec.given(created, added(1), revoked).when(revoke, {}).thenNothing()
  spec
    .given(created, added(1), revoked)
    .when(add, { secret: secret(2) })
    .thenRejects('credential-revoked')
  spec.given().when(revoke, {}).thenRejects('credential-not-found')
})

t.test('a version that ends is told of before and when it does, each once', async t => {
  const until = (expiresAt: string) => ({ ...added(1), data: { ...added(1).data, expiresAt } })
  const note = { type: 'note-credential-expiry', data: { credentialId } } as const
  const [soon, in5, in29, in31] = [
    ...['2030-01-01T12:00:00.000Z', '2030-01-06T00:00:00.000Z', '2030-01-30T00:00:00.000Z'],
    '2030-02-01T00:00:00.001Z',
  ] as const
  const approached = (expiresAt: string, daysLeft: number) =>
    ({ type: 'CredentialExpiryApproached', data: { credentialId, version: 1, expiresAt, daysLeft } }) as const
  const over = '2029-12-31T23:59:59.000Z'
  const expired = { type: 'CredentialExpired', data: { credentialId, version: 1, expiresAt: over } } as const
  const spec = specFor(t, credential)
  const told = (...history: Parameters<typeof spec.given>) => spec.given(created, ...history).when(note, {})
  told(added(1)).thenNothing()
  told(until(in31)).thenNothing()
  told(until(in29)).thenRecords(approached(in29, 30))
  told(until(in29), approached(in29, 30)).thenNothing()
  told(until(in5), approached(in5, 30)).thenRecords(approached(in5, 7))
  told(until(soon), approached(soon, 7)).thenRecords(approached(soon, 1))
  told(until(soon), approached(soon, 1)).thenNothing()
  told(until(over), approached(over, 1)).thenRecords(expired)
  told(until(over), expired).thenNothing()
  told(until(over), expired, added(2)).thenNothing()
  told(until(over), revoked).thenNothing()
  spec.given().when(note, {}).thenNothing()
})

t.test('the earlier end counts: what was asked for, or what the secret says itself', async t => {
  const spec = specFor(t, credential)
  const [early, late] = ['2030-02-01T00:00:00.000Z', '2031-02-01T00:00:00.000Z']
  const sealed = (expiresAt?: string) => {
    const { sealed, ...rest } = secret(1)
    return { secret: { ...rest, sealed: { ...sealed, ...(expiresAt !== undefined && { expiresAt }) } } }
  }
  const asking = (expiresAt: string) => ({ ...create, data: { ...described, expiresAt } })
  const ends = (expiresAt: string) => ({ ...added(1), data: { ...added(1).data, expiresAt } })
  spec.given().when(asking(early), sealed()).thenRecords(created, ends(early))
  spec.given().when(asking(late), sealed(early)).thenRecords(created, ends(early))
  spec.given().when(create, sealed(late)).thenRecords(created, ends(late))
  spec.given().when(asking('2030-01-01T00:00:00.000Z'), sealed()).thenRejects('invalid-input')
  const again = { ...add, data: { credentialId, expiresAt: late } }
  spec
    .given(created, ends(early))
    .when(again, { secret: secret(2) })
    .thenRecords({ ...added(2, 'a'), data: { ...added(2, 'a').data, expiresAt: late } })
})

t.test('a personal credential is changed by its owner alone, and revoked by others too', async t => {
  const spec = specFor(t, credential)
  const owned = (id: string) => ({ ...created, data: { ...created.data, owner: { kind: 'api-key' as const, id } } })
  const personal = { ...create, data: { ...described, personal: true } }
  spec
    .given()
    .when(personal, { secret: secret(1) })
    .thenRecords(owned('ann'), added(1))
  spec
    .given(owned('ann'), added(1))
    .when(personal, { secret: secret(1) })
    .thenNothing()
  spec
    .given(owned('ann'), added(1))
    .when(add, { secret: secret(2, 'b') })
    .thenRecords(added(2, 'b'))
  spec
    .given(owned('bert'), added(1))
    .when(add, { secret: secret(2, 'b') })
    .thenRejects('credential-not-yours')
  spec
    .given(owned('bert'), added(1))
    .when(personal, { secret: secret(1) })
    .thenRejects('credential-already-exists')
  spec.given(owned('bert'), added(1)).when(revoke, {}).thenRecords(revoked)
})

t.test('what is stored with a key is personal to whoever the key is of', async t => {
  const actor = { kind: 'api-key' as const, id: 'abc', onBehalfOf: 'service-account:nightly' }
  const command = { ...create, data: { ...described, personal: true } }
  const [first] = credential.decide(command, credential.initial, { ...specMeta, actor }, { secret: secret(1) })
  t.match(first, { data: { owner: { kind: 'service', id: 'nightly' } } })
  const owned = { ...created, data: { ...created.data, owner: { kind: 'service' as const, id: 'nightly' } } }
  const another = { ...actor, id: 'def' }
  const meta = { ...specMeta, actor: another }
  t.match(credential.decide(add, fold(credential, [owned, added(1)]), meta, { secret: secret(2, 'b') }), [
    { type: 'CredentialVersionAdded' },
  ])
})

t.test('on behalf of somebody means for them', async t => {
  const ann = { kind: 'user', id: 'ann' } as const
  t.notOk(isOthers(undefined, { kind: 'user', id: 'bert' }))
  t.notOk(isOthers(ann, ann))
  t.ok(isOthers(ann, { kind: 'user', id: 'bert' }))
  t.ok(isOthers(ann, { kind: 'api-key', id: 'ann' }), 'another kind of principal of the same id')
  t.notOk(isOthers(ann, { kind: 'system', id: 'run-coordinator', onBehalfOf: 'user:ann' }))
  t.notOk(isOthers(ann, { kind: 'api-key', id: 'abc', onBehalfOf: 'user:ann' }))
  t.ok(isOthers(ann, { kind: 'user', id: 'bert', onBehalfOf: 'user:ann' }))
  const account = { kind: 'service', id: 'nightly' } as const
  t.notOk(isOthers(account, { kind: 'api-key', id: 'abc', onBehalfOf: 'service-account:nightly' }))
  t.notOk(isOthers({ kind: 'api-key', id: 'abc' }, { kind: 'api-key', id: 'abc', onBehalfOf: 'user:ann' }))
  t.ok(isOthers(ann, { kind: 'system', id: 'run-coordinator' }))
})
