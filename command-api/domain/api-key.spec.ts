import t from 'tap'
import type { ApiKeyEvent } from '../../schemas/api-key.ts'
import type { ServiceAccountEvent } from '../../schemas/service-account.ts'
import { specFor } from '../../test/support/decider-spec.ts'
import { apiKey } from './api-key.ts'
import { serviceAccount } from './service-account.ts'

const keyId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const serviceAccountId = '0192d3c4-5e6f-7a8b-9c0d-00000000000b'
const owner = { kind: 'service-account' as const, id: serviceAccountId }
const secretHash = 'a'.repeat(64)
const issue = {
  type: 'issue-api-key' as const,
  data: { keyId, name: 'nightly', owner, permissions: ['run:trigger'], expiresSeconds: 3_600 },
}
const issued: ApiKeyEvent = {
  type: 'ApiKeyIssued',
  data: {
    ...{ keyId, name: 'nightly', owner, secretHash, permissions: ['run:trigger'] },
    expiresAt: '2030-01-01T01:00:00.000Z',
  },
}
const revoked: ApiKeyEvent = { type: 'ApiKeyRevoked', data: { keyId, reason: 'leaked' } }

t.test('a key is issued by its hash, to somebody who may act', async t => {
  const { given } = specFor(t, apiKey)
  given().when(issue, { secretHash, owner: 'active' }).thenRecords(issued)
  given(issued).when(issue, { secretHash, owner: 'active' }).thenRejects('api-key-already-exists')
  given().when(issue, { secretHash, owner: 'inactive' }).thenRejects('api-key-owner-inactive')
  given().when(issue, { secretHash, owner: 'absent' }).thenRejects('service-account-not-found')
  const ofUser = { ...issue, data: { ...issue.data, owner: { kind: 'user' as const, id: serviceAccountId } } }
  given().when(ofUser, { secretHash, owner: 'absent' }).thenRejects('user-not-found')
  const scopes = [{ kind: 'labels' as const, labels: 'env=prod' }]
  given()
    .when({ ...issue, data: { ...issue.data, scopes } }, { secretHash, owner: 'active' })
    .thenRecords({ ...issued, data: { ...issued.data, scopes } })
})

t.test('its use is told at most once an hour, its end once', async t => {
  const { given } = specFor(t, apiKey)
  const use = (at: string) => ({ type: 'note-api-key-use' as const, data: { keyId, at } })
  const used = (at: string): ApiKeyEvent => ({ type: 'ApiKeyUsed', data: { keyId, at } })
  const [noon, soon, later] = ['2030-01-01T12:00:00.000Z', '2030-01-01T12:59:00.000Z', '2030-01-01T13:00:00.000Z']
  given(issued).when(use(noon), {}).thenRecords(used(noon))
  given(issued, used(noon)).when(use(soon), {}).thenNothing()
  given(issued, used(noon)).when(use(later), {}).thenRecords(used(later))
  given(issued, revoked).when(use(noon), {}).thenNothing()
  const revoke = { type: 'revoke-api-key' as const, data: { keyId, reason: 'leaked' } }
  given(issued).when(revoke, {}).thenRecords(revoked)
  given(issued, revoked).when(revoke, {}).thenNothing()
  given().when(revoke, {}).thenRejects('api-key-not-found')
})

t.test('a service account', async t => {
  const spec = specFor(t, serviceAccount)
  type Asked = Parameters<typeof serviceAccount.decide>[0]
  const given = (...history: ServiceAccountEvent[]) => ({
    when: (command: Asked) => spec.given(...history).when(command, {}),
  })
  const data = { serviceAccountId, name: 'nightly' }
  const created = { type: 'ServiceAccountCreated' as const, data }
  const because = { serviceAccountId, reason: 'replaced' }
  const disabled = { type: 'ServiceAccountDisabled' as const, data: because }
  given().when({ type: 'create-service-account', data }).thenRecords(created)
  given(created).when({ type: 'create-service-account', data }).thenNothing()
  given(created)
    .when({ type: 'create-service-account', data: { ...data, name: 'daily' } })
    .thenRejects('service-account-already-exists')
  given().when({ type: 'disable-service-account', data: because }).thenRejects('service-account-not-found')
  given(created).when({ type: 'disable-service-account', data: because }).thenRecords(disabled)
  given(created, disabled).when({ type: 'disable-service-account', data: because }).thenNothing()
  given(created, disabled)
    .when({ type: 'enable-service-account', data: because })
    .thenRecords({ type: 'ServiceAccountEnabled', data: because })
  given(created).when({ type: 'enable-service-account', data: because }).thenNothing()
})

t.test('somebody answers for a service account', async t => {
  const { given } = specFor(t, serviceAccount)
  const [ann, team] = [
    { kind: 'user' as const, id: '0192d3c4-5e6f-7a8b-9c0d-00000000000c' },
    { kind: 'group' as const, id: '0192d3c4-5e6f-7a8b-9c0d-00000000000d' },
  ]
  const data = { serviceAccountId, name: 'nightly' }
  const create = { type: 'create-service-account' as const, data }
  const created = { type: 'ServiceAccountCreated' as const, data: { ...data, owner: ann } }
  given().when(create, { by: ann }).thenRecords(created)
  given()
    .when(create, {})
    .thenRecords({ ...created, data })
  const ofTeam = { ...create, data: { ...data, owner: team } }
  given()
    .when(ofTeam, { by: ann, owner: 'active' })
    .thenRecords({ ...created, data: { ...data, owner: team } })
  given().when(ofTeam, { owner: 'inactive' }).thenRejects('service-account-owner-inactive')
  given().when(ofTeam, { owner: 'absent' }).thenRejects('group-not-found')
  given(created).when(create, { by: team }).thenNothing()
  given(created).when(ofTeam, { owner: 'active' }).thenRejects('service-account-already-exists')

  const transfer = (owner: typeof ann | typeof team) => ({
    ...{ type: 'transfer-service-account' as const, data: { serviceAccountId, owner, reason: 'left' } },
  })
  const changed = { type: 'ServiceAccountOwnerChanged' as const, data: transfer(team).data }
  given().when(transfer(team), { owner: 'active' }).thenRejects('service-account-not-found')
  given(created).when(transfer(team), { owner: 'active' }).thenRecords(changed)
  given(created, changed).when(transfer(team), { owner: 'active' }).thenNothing()
  given(created).when(transfer(ann), { owner: 'absent' }).thenRejects('user-not-found')
  given(created).when(transfer(ann), { owner: 'inactive' }).thenRejects('service-account-owner-inactive')

  const tell = (owner: typeof ann | typeof team) => ({
    ...{ type: 'tell-service-account-orphaned' as const, data: { serviceAccountId, owner } },
  })
  const orphaned = { type: 'ServiceAccountOrphaned' as const, data: { ...data, owner: ann } }
  given(created).when(tell(ann), {}).thenRecords(orphaned)
  given(created, orphaned).when(tell(ann), {}).thenNothing()
  given(created, changed).when(tell(ann), {}).thenNothing()
  given(created, changed)
    .when(tell(team), {})
    .thenRecords({ ...orphaned, data: { ...data, owner: team } })
  const disabled = { type: 'ServiceAccountDisabled' as const, data: { serviceAccountId, reason: 'over' } }
  given(created, disabled).when(tell(ann), {}).thenNothing()
  const again = { ...changed, data: transfer(ann).data }
  given(created, orphaned).when(transfer(ann), { owner: 'active' }).thenRecords(again)
  given(created, orphaned, again).when(tell(ann), {}).thenRecords(orphaned)
})

t.test('that a key stopped with its owner is told once', async () => {
  const stop = { type: 'tell-api-key-stopped', data: { keyId, owner } } as const
  const stopped: ApiKeyEvent = { type: 'ApiKeyStopped', data: { keyId, name: 'nightly', owner } }
  specFor(t, apiKey).given(issued).when(stop, {}).thenRecords(stopped)
  specFor(t, apiKey).given(issued, stopped).when(stop, {}).thenNothing()
  specFor(t, apiKey).given(issued, revoked).when(stop, {}).thenNothing()
})
