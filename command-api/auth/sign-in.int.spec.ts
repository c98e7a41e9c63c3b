import t from 'tap'
import { done } from '../../test/support/commanding.ts'
import { goodPassphrase, otherPassphrase, signInBench } from '../../test/support/sign-in.ts'

const bench = await signInBench(t)
const { command, auth, user, signIn, send, administrator, vault } = bench

t.test('somebody is invited, sets a passphrase by the link, and signs in', async t => {
  const created = await command('create-user', {
    loginName: 'Ann@Example.org',
    displayName: 'Ann',
    email: 'ann@example.org',
  })
  t.equal(created.statusCode, 201)
  const { link, stream, events } = created.json()
  t.match(link, /^opsl_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$/)
  t.same(
    events.map((e: { type: string }) => e.type),
    ['UserInvited'],
  )
  t.equal((await signIn('ann@example.org')).statusCode, 401, 'nobody signs in before')
  const first = done(await auth('link', { link, passphrase: goodPassphrase }))
  t.equal(first.status, 'signed-in')
  t.equal((await auth('link', { link, passphrase: otherPassphrase })).statusCode, 403, 'a link is good once')
  const again = done(await signIn(' ANN@example.ORG '))
  t.equal(again.userId, first.userId)
  const me = done(await send('GET', '/v1/auth/me', undefined, { as: again.accessToken }))
  t.match(me, {
    actor: { kind: 'user', id: first.userId, mfa: false },
    user: { loginName: 'Ann@Example.org', displayName: 'Ann' },
  })
  const log = JSON.stringify((await vault.store.read(stream)).events, (_, v) => (typeof v === 'bigint' ? String(v) : v))
  for (const secret of ['Ann', 'ann@', goodPassphrase, link]) t.notMatch(log, secret, 'the log does not know')
  t.equal(
    (await command('create-user', { loginName: 'ann@EXAMPLE.org' })).json().type,
    'urn:opsconductor:problem:login-name-taken',
  )
})

t.test('a user may do what was granted, and nothing before', async t => {
  const { userId, accessToken } = await user('bob')
  const target = { name: 'web-1', address: '192.0.2.1' }
  t.equal((await command('create-target', target, { as: accessToken })).statusCode, 403)
  const grant = {
    principal: { kind: 'user', id: userId },
    role: 'target-admin',
    scope: { kind: 'everything' },
    reason: 'spec',
  }
  done(await command('grant-role', grant))
  const made = await command('create-target', target, { as: accessToken })
  t.equal(made.statusCode, 201, made.body)
  const { events } = await vault.store.read(made.json().stream)
  t.match(events[0]?.metadata.actor, { kind: 'user', id: userId, roles: ['target-admin'] })
  done(await command('deactivate-user', { userId, reason: 'left' }))
  t.equal((await command('create-target', target, { as: accessToken })).statusCode, 401)
  t.equal((await signIn('bob')).statusCode, 401)
})

t.test('the keys that tokens are signed with are public', async t => {
  const { keys } = done(await send('GET', '/v1/auth/jwks'))
  t.match(keys, [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' }])
  t.notOk('d' in keys[0])
  t.equal((await send('GET', '/v1/auth/me', undefined, { as: administrator })).json().actor.kind, 'api-key')
})
