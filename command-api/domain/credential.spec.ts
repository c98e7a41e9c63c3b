import t from 'tap'
import { specFor } from '../../test/support/decider-spec.ts'
import { credential } from './credential.ts'

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
