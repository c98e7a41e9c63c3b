import { createPublicKey, verify } from 'node:crypto'
import pg from 'pg'
import t from 'tap'
import { streams } from '../../schemas/events.ts'
import { type ErasureCertificate, erasureText } from '../../schemas/user.ts'
import { done } from '../../test/support/commanding.ts'
import { signInBench, until } from '../../test/support/sign-in.ts'

const { command, auth, user, signIn, send, vault } = await signInBench(t)
const typesOf = async (userId: string) => (await vault.store.read(streams.user(userId))).events.map(({ type }) => type)
const isGenuine = ({ publicKey, signature, ...said }: ErasureCertificate) => {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
  return verify(null, Buffer.from(erasureText(said)), key, Buffer.from(signature, 'base64url'))
}

/** Everything the vault has about this person, as text. */
async function recordsOf(userId: string): Promise<string> {
  const client = new pg.Client(vault.databaseUrl)
  await client.connect()
  const tables = ['subject', 'verifier', 'totp', 'recovery_code', 'familiar_address']
  const found = []
  for (const table of tables)
    found.push((await client.query(`select x::text from vault.${table} x where user_id = $1`, [userId])).rows)
  await client.end()
  return JSON.stringify(found)
}

t.test('personal data is destroyed for good, and a certificate says so', async t => {
  const profile = { loginName: 'erika@example.org', displayName: 'Erika Mustermann', email: 'erika@example.org' }
  const { link } = done(await command('create-user', profile))
  const who = done(await auth('link', { link, passphrase: 'four rusty lanterns under water' }))
  const { userId, accessToken } = who
  const { apiKey } = done(await auth('api-keys/issue', { name: 'k' }, { as: accessToken }))
  const before = await recordsOf(userId)
  for (const secret of ['erika', 'Erika', 'Mustermann', Buffer.from('erika@').toString('hex')])
    t.notMatch(before, secret)

  const because = { userId, reason: 'asked for it' }
  done(await command('place-legal-hold', { userId, reason: 'case 4711' }))
  done(await command('erase-personal-data', because))
  t.equal((await typesOf(userId)).at(-1), 'ErasureDeferred')
  t.equal(done(await signIn('erika@example.org')).userId, userId, 'a legal hold keeps everything')
  done(await command('release-legal-hold', { userId, reason: 'case closed' }))
  t.same((await typesOf(userId)).slice(-2), ['LegalHoldReleased', 'UserPersonalDataErased'])

  const erased = (await vault.store.read(streams.user(userId))).events.at(-1)
  if (erased?.type !== 'UserPersonalDataErased') throw new Error('it was erased')
  const { certificate } = erased.data
  t.equal(isGenuine(certificate), true)
  t.equal(isGenuine({ ...certificate, records: certificate.records + 1 }), false)
  t.ok(certificate.records >= 3, `${certificate.records} records`)
  t.match(await recordsOf(userId), /\],\[\],\[\],\[\],\[\]\]$/, 'of all records one is left')
  t.match(await recordsOf(userId), `(${userId},,,,,`, 'and it holds no key, no index and no profile')
  t.equal((await signIn('erika@example.org')).statusCode, 401)
  for (const as of [accessToken, apiKey]) t.equal((await send('GET', '/v1/auth/me', undefined, { as })).statusCode, 401)
  t.same(done(await command('erase-personal-data', because)).events, [], 'once is enough')
  t.equal((await command('change-user-profile', { userId, displayName: 'E' })).statusCode, 409)
  t.equal((await command('create-user', profile)).statusCode, 201, 'the login name is free again')
})

t.test('a service account goes on without its owner, loudly; a person’s own key does not', async t => {
  const [eve, max] = [await user('eve@example.org'), await user('max@example.org')]
  const idIn = ({ stream }: { stream: string }) => stream.slice(stream.indexOf('-') + 1)
  const grant = async (principal: object, role: string) =>
    done(await command('grant-role', { principal, role, scope: { kind: 'everything' }, reason: 'spec' }))
  await grant({ kind: 'user', id: eve.userId }, 'user-admin')
  const as = { as: eve.accessToken }
  const nightly = idIn(done(await command('create-service-account', { name: 'nightly' }, as)))
  await grant({ kind: 'service-account', id: nightly }, 'target-admin')
  const ofAccount = { name: 'n', owner: { kind: 'service-account', id: nightly } }
  const { apiKey } = done(await command('issue-api-key', ofAccount))
  const own = done(await auth('api-keys/issue', { name: 'laptop' }, as)).apiKey
  const byKey = idIn(done(await command('create-service-account', { name: 'by key' }, { as: own })))
  const groupId = idIn(done(await command('create-group', { name: 'team' })))
  const team = { kind: 'group', id: groupId }
  const ofTeam = { name: 'of the team', owner: team }
  t.equal((await command('create-service-account', ofTeam)).statusCode, 409, 'nobody is in it')
  const member = (of: { userId: string }) => ({ groupId, member: { kind: 'user', id: of.userId } })
  done(await command('add-to-group', member(eve)))
  done(await command('add-to-group', member(max)))
  const shared = idIn(done(await command('create-service-account', ofTeam, as)))
  const daily = idIn(done(await command('create-service-account', { name: 'daily' })))
  const eventsOf = async (id: string) => (await vault.store.read(streams.serviceAccount(id))).events
  const last = async (id: string) => (await eventsOf(id)).at(-1)?.type
  t.match(
    (await eventsOf(nightly)).map(({ data }) => data),
    [{ owner: { kind: 'user', id: eve.userId } }],
  )
  t.match(
    (await eventsOf(byKey)).map(({ data }) => data),
    [{ owner: { kind: 'user', id: eve.userId } }],
  )
  t.notOk('owner' in ((await eventsOf(daily))[0]?.data ?? {}), 'an administrator of the key file is nobody')

  done(await command('deactivate-user', { userId: eve.userId, reason: 'left' }))
  const target = (name: string, as: string) => command('create-target', { name, address: '192.0.2.7' }, { as })
  t.equal((await target('by-own-key', own)).statusCode, 401, 'stops at once')
  for (const id of [nightly, byKey]) await until(async () => (await last(id)) === 'ServiceAccountOrphaned')
  t.ok(vault.lines.some(line => line.includes('nobody answers') && line.includes(nightly)))
  t.equal((await target('by-account', apiKey)).statusCode, 201, 'goes on')
  t.equal(await last(shared), 'ServiceAccountCreated', 'one of the team is left')

  const transfer = (serviceAccountId: string, owner: object, sent = {}) =>
    command('transfer-service-account', { serviceAccountId, owner, reason: 'hers' }, sent)
  t.equal((await transfer(nightly, { kind: 'user', id: eve.userId })).statusCode, 409)
  t.equal((await transfer(nightly, { kind: 'user', id: nightly })).statusCode, 404)
  done(await transfer(nightly, team))
  await grant({ kind: 'user', id: max.userId }, 'viewer')
  t.equal((await transfer(shared, { kind: 'user', id: max.userId }, { as: max.accessToken })).statusCode, 403)
  done(await command('deactivate-user', { userId: max.userId, reason: 'left' }))
  for (const id of [nightly, shared]) await until(async () => (await last(id)) === 'ServiceAccountOrphaned')
  done(await command('reactivate-user', { userId: max.userId, reason: 'back' }))
  t.equal(await last(nightly), 'ServiceAccountOrphaned', 'nobody gets it back by themselves')
  done(await transfer(nightly, { kind: 'user', id: max.userId }))
  done(await command('erase-personal-data', { userId: max.userId, reason: 'asked for it' }))
  await until(async () => (await last(nightly)) === 'ServiceAccountOrphaned')
  t.same(
    (await eventsOf(nightly)).map(({ type }) => type),
    ['ServiceAccountCreated', ...Array.from({ length: 2 }, () => ['Orphaned', 'OwnerChanged']).flat(), 'Orphaned'].map(
      type => (type.startsWith('O') ? `ServiceAccount${type}` : type),
    ),
  )
})

t.test('a profile is changed, and the log says only that it was', async t => {
  const { userId } = await user('paul@example.org')
  await user('taken@example.org')
  const change = (data: object) => command('change-user-profile', { userId, ...data })
  done(await change({ loginName: 'paula@example.org', displayName: 'Paula' }))
  const last = (await vault.store.read(streams.user(userId))).events.at(-1)
  t.match(last?.data, { fields: ['loginName', 'displayName'] })
  t.notMatch(JSON.stringify(last?.data), 'aula')
  t.equal((await change({ loginName: 'TAKEN@example.org' })).statusCode, 409)
  t.same(done(await change({ displayName: 'Paula' })).events, [], 'nothing has changed')
  t.equal((await signIn('paul@example.org')).statusCode, 401)
  t.equal(done(await signIn('paula@example.org')).userId, userId)
})

t.test('failed attempts are in the log, as far as there is room', async t => {
  const { userId } = await user('watched@example.org')
  await signIn('watched@example.org', 'no passphrase of theirs')
  await until(async () => vault.lines.some(line => line.includes('sign-in failed')))
  t.notMatch(vault.lines.join('\n'), 'no passphrase of theirs')
  t.notMatch(vault.lines.join('\n'), 'watched@example.org')
  t.type(userId, 'string')
})
