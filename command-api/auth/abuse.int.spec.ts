import { generateSync } from 'otplib'
import t from 'tap'
import { derivedId } from '../../infra/ids.ts'
import { createPool } from '../../infra/postgres.ts'
import { streams } from '../../schemas/events.ts'
import { done } from '../../test/support/commanding.ts'
import { goodPassphrase, otherPassphrase, type SignedInUser, signInBench, until } from '../../test/support/sign-in.ts'

const bench = await signInBench(t)
const { command, auth, user, signIn, send, vault } = bench
const typesOf = async (stream: string) => (await vault.store.read(stream)).events.map(({ type }) => type)
const me = (as: string) => send('GET', '/v1/auth/me', undefined, { as })
const everything = { kind: 'everything' } as const

/** A code of the period that lies so many periods from now. */
const codeOf = (secret: string, periods = 0) =>
  generateSync({ secret, epoch: Math.floor(Date.now() / 1000) + 30 * periods })

async function withTotp(who: SignedInUser, periods = -1) {
  const { factorId, secret } = done(await auth('totp/begin', { passphrase: goodPassphrase }, { as: who.accessToken }))
  const confirmed = done(
    await auth('totp/confirm', { factorId, code: codeOf(secret, periods) }, { as: who.accessToken }),
  )
  return { factorId, secret, recoveryCodes: confirmed.recoveryCodes as string[] }
}

t.test('abuse 12: no token is taken for another', async t => {
  const { accessToken, refreshToken } = await user('twelve')
  t.equal((await me(accessToken)).statusCode, 200)
  t.equal((await me(refreshToken)).statusCode, 401, 'a refresh token opens no API')
  t.equal((await auth('refresh', { refreshToken: accessToken })).statusCode, 401)
  t.equal((await auth('link', { link: accessToken, passphrase: otherPassphrase })).statusCode, 403)
  t.equal((await auth('second-factor', { challenge: accessToken, code: '123456' })).statusCode, 401)
  t.equal((await me(`${accessToken}x`)).statusCode, 401)
})

t.test('abuse 13: of fifty that refresh at once one wins; what was used up ends the session', async t => {
  const { refreshToken, sessionId } = await user('thirteen')
  const all = await Promise.all(Array.from({ length: 50 }, () => auth('refresh', { refreshToken })))
  const winners = all.filter(({ statusCode }) => statusCode === 200)
  t.equal(winners.length, 1)
  t.same([...new Set(all.map(({ statusCode }) => statusCode))].sort(), [200, 401])
  const rotations = (await typesOf(streams.session(sessionId))).filter(type => type === 'RefreshTokenRotated')
  t.equal(rotations.length, 1)

  const { refreshToken: first, sessionId: other, accessToken } = done(await signIn('thirteen'))
  const second = done(await auth('refresh', { refreshToken: first }))
  const third = done(await auth('refresh', { refreshToken: second.refreshToken }))
  t.equal((await me(third.accessToken)).statusCode, 200)
  t.equal((await auth('refresh', { refreshToken: first })).statusCode, 401)
  t.same((await typesOf(streams.session(other))).slice(-2), ['RefreshTokenReuseDetected', 'SessionRevoked'])
  t.equal((await auth('refresh', { refreshToken: third.refreshToken })).statusCode, 401, 'the whole family is gone')
  for (const token of [accessToken, third.accessToken]) t.equal((await me(token)).statusCode, 401)
  const forged = third.refreshToken.replace(/.$/, (last: string) => (last === 'A' ? 'B' : 'A'))
  t.equal((await auth('refresh', { refreshToken: forged })).statusCode, 401)
})

t.test('abuse 14: signing out, a new passphrase, and deactivation end every session at once', async t => {
  const out = await user('fourteen')
  t.equal((await auth('sign-out', {}, { as: out.accessToken })).statusCode, 200)
  t.equal((await me(out.accessToken)).statusCode, 401)
  t.equal((await auth('refresh', { refreshToken: out.refreshToken })).statusCode, 401)

  const [one, two] = [done(await signIn('fourteen')), done(await signIn('fourteen'))]
  const given = { current: goodPassphrase, passphrase: otherPassphrase }
  const changed = done(await auth('passphrase', given, { as: one.accessToken }))
  for (const old of [one, two]) {
    t.equal((await me(old.accessToken)).statusCode, 401)
    t.equal((await auth('refresh', { refreshToken: old.refreshToken })).statusCode, 401)
  }
  t.equal((await me(changed.accessToken)).statusCode, 200)
  t.equal((await signIn('fourteen', goodPassphrase)).statusCode, 401)
  t.equal((await signIn('fourteen', otherPassphrase)).statusCode, 200)

  const again = done(await signIn('fourteen', otherPassphrase))
  t.equal((await auth('sessions/end', { others: true }, { as: again.accessToken })).json().ended, 2)
  t.equal((await me(changed.accessToken)).statusCode, 401)
  t.equal((await me(again.accessToken)).statusCode, 200)
  const stranger = await user('fourteen-b')
  t.equal((await auth('sessions/end', { sessionId: again.sessionId }, { as: stranger.accessToken })).statusCode, 404)
  done(await command('deactivate-user', { userId: again.userId, reason: 'left' }))
  t.equal((await me(again.accessToken)).statusCode, 401)
  t.equal((await auth('refresh', { refreshToken: again.refreshToken })).statusCode, 401)
  const revoked = await user('fourteen-c')
  done(await command('revoke-session', { sessionId: revoked.sessionId, reason: 'laptop stolen' }))
  t.equal((await me(revoked.accessToken)).statusCode, 401)
})

t.test('abuse 15: a code is good once, and only as it is', async t => {
  const who = await user('fifteen')
  const { secret } = await withTotp(who)
  const challenge = async () => {
    const step = done(await signIn('fifteen'))
    t.equal(step.status, 'second-factor-needed')
    return step.challenge as string
  }
  const show = async (code: string) => (await auth('second-factor', { challenge: await challenge(), code })).statusCode
  const code = codeOf(secret)
  for (const dressed of [` ${code}`, `${code}\n`, `${code.slice(0, 3)} ${code.slice(3)}`, `0${code}`, code.slice(1)])
    t.equal(await show(dressed), 401, JSON.stringify(dressed))
  const fullWidth = [...code].map(digit => String.fromCodePoint(0xff10 + Number(digit))).join('')
  t.equal(await show(fullWidth), 401)
  t.equal(await show(code), 200)
  t.equal(await show(code), 401, 'the same code again')
  t.equal(await show(codeOf(secret, -1)), 401, 'one of the period before')
  const next = codeOf(secret, 1)
  const both = await Promise.all([challenge(), challenge()])
  const raced = await Promise.all(both.map(each => auth('second-factor', { challenge: each, code: next })))
  t.same(raced.map(({ statusCode }) => statusCode).sort(), [200, 401], 'of two at once one wins')
  const failures = (await vault.store.read(streams.user(who.userId))).events.map(({ type }) => type)
  t.notOk(failures.includes('UserLocked'))
})

t.test('abuse 16: no step is skipped', async t => {
  const who = await user('sixteen')
  const { recoveryCodes, factorId, secret } = await withTotp(who)
  t.equal(recoveryCodes.length, 10)
  const { challenge } = done(await signIn('sixteen'))
  t.equal((await me(challenge)).statusCode, 401, 'what comes before the second factor opens nothing')
  t.equal((await auth('totp/begin', { passphrase: goodPassphrase }, { as: challenge })).statusCode, 401)
  t.equal((await auth('refresh', { refreshToken: challenge })).statusCode, 401)
  t.equal((await auth('required-passphrase', { challenge, passphrase: otherPassphrase })).statusCode, 401)
  const [recoveryCode = '', second = ''] = recoveryCodes
  const signedIn = done(await auth('second-factor', { challenge, recoveryCode: recoveryCode.toUpperCase() }))
  t.match(done(await me(signedIn.accessToken)), { actor: { mfa: true }, user: { recoveryCodesLeft: 9 } })
  const later = done(await signIn('sixteen')).challenge
  t.equal(
    (await auth('second-factor', { challenge: later, recoveryCode })).statusCode,
    401,
    'a recovery code is good once',
  )
  const fresh = done(await auth('recovery-codes', { passphrase: goodPassphrase }, { as: signedIn.accessToken }))
  t.equal((await auth('second-factor', { challenge: later, recoveryCode: second })).statusCode, 401, 'replaced')
  t.equal((await auth('second-factor', { challenge: later, recoveryCode: fresh.recoveryCodes[0] })).statusCode, 200)
  t.equal(
    (await auth('totp/begin', { passphrase: 'wrong wrong wrong wrong' }, { as: signedIn.accessToken })).statusCode,
    401,
  )
  const removed = await auth('totp/remove', { factorId, passphrase: goodPassphrase }, { as: signedIn.accessToken })
  t.equal(done(removed).status, 'signed-in')
  t.equal((await me(signedIn.accessToken)).statusCode, 401, 'what began with a second factor ended with it')
  t.equal(done(await signIn('sixteen')).status, 'signed-in')
  t.equal((await auth('second-factor', { challenge: later, code: codeOf(secret) })).statusCode, 401)
})

t.test('a lost second factor is taken away by an administrator, not by the user’s own link', async t => {
  const who = await user('lost')
  await withTotp(who)
  const { link } = done(await command('create-reset-link', { userId: who.userId, reason: 'forgot it' }))
  t.equal(done(await auth('link', { link, passphrase: otherPassphrase })).status, 'second-factor-needed')
  done(await command('remove-second-factors', { userId: who.userId, reason: 'telephone lost' }))
  t.equal(done(await signIn('lost', otherPassphrase)).status, 'signed-in')
})

t.test('abuse 17: ten attempts in a quarter of an hour, whoever asks and however', async t => {
  const { userId, accessToken } = await user('Seven@Teen.org')
  const variants = ['seven@teen.org', 'SEVEN@TEEN.ORG', ' seven@teen.org', 'seven@teen.org ', 'ｓeven@teen.org']
  const answers = []
  for (let n = 0; n < 15; n += 1) {
    const from = `198.51.100.${n + 1}`
    const headers = { 'x-forwarded-for': `203.0.113.${n}` }
    answers.push(await signIn(variants[n % 5] ?? '', `wrong passphrase number ${n}`, { from, headers }))
  }
  const told = new Set(
    answers.map(({ statusCode, body }) => `${statusCode} ${body.replace(/"correlationId":"[^"]*"/, '')}`),
  )
  t.equal(told.size, 1, 'wrong and locked look the same')
  t.equal((await signIn('seven@teen.org', goodPassphrase, { from: '198.51.100.99' })).statusCode, 401, 'locked')
  await until(async () => (await typesOf(streams.user(userId))).includes('UserLocked'))
  t.equal((await typesOf(streams.user(userId))).filter(type => type === 'UserLocked').length, 1)
  t.equal((await me(accessToken)).statusCode, 200, 'sessions there are go on')
  done(await command('unlock-user', { userId, reason: 'called us' }))
  t.equal((await signIn('seven@teen.org', goodPassphrase, { from: '198.51.100.98' })).statusCode, 200)

  const home = { from: '2001:db8:0:a::77' }
  t.equal((await signIn('seven@teen.org', goodPassphrase, home)).statusCode, 200)
  for (let n = 0; n < 12; n += 1)
    await signIn('seven@teen.org', 'strangers all over again', { from: `198.51.100.${n + 1}` })
  t.equal(
    (await signIn('seven@teen.org', goodPassphrase, { from: '203.0.113.5' })).statusCode,
    401,
    'strangers are locked out',
  )
  t.equal((await signIn('seven@teen.org', goodPassphrase, home)).statusCode, 200, 'and not who signs in from home')
  const sameNetwork = { from: '2001:db8:0:a:ffff::9' }
  t.equal((await signIn('seven@teen.org', goodPassphrase, sameNetwork)).statusCode, 200, 'a /64 is one home')
  for (let n = 0; n < 10; n += 1) await signIn('seven@teen.org', 'wrong', { from: `2001:db8:0:a::${n + 1}` })
  t.equal((await signIn('seven@teen.org', goodPassphrase, sameNetwork)).statusCode, 401, 'and no more than one')
})

t.test('abuse 17: who signs in for themselves in between does not get more attempts for others', async t => {
  await user('spray')
  const here = { from: '198.51.100.200' }
  const guess = async (n: number) => (await signIn(`sprayed-${n}`, 'one of the common ones', here)).statusCode
  t.equal(await guess(0), 401)
  const pool = createPool(vault.databaseUrl, vault.log, { max: 1 })
  t.teardown(() => pool.end())
  // As if it were the 99th of them.
  await pool.query(`update vault.sign_in_attempt set tries = array_fill(tries[1], array[99]) where bucket = (
    select bucket from vault.sign_in_attempt where bucket like 'address:%' order by last_at desc limit 1)`)
  t.equal((await signIn('spray', goodPassphrase, here)).statusCode, 200)
  t.equal(await guess(1), 401, 'the hundredth')
  t.equal(await guess(2), 429)
  t.equal((await signIn('spray', goodPassphrase, here)).statusCode, 429)
  t.equal((await signIn('spray', goodPassphrase, { from: '198.51.100.201' })).statusCode, 200)
})

t.test('abuse 17: codes are counted apart from passphrases', async t => {
  const who = await user('codes')
  const { secret } = await withTotp(who)
  const { challenge } = done(await signIn('codes'))
  for (let n = 0; n < 10; n += 1) await auth('second-factor', { challenge, code: '000000' })
  t.equal((await auth('second-factor', { challenge, code: codeOf(secret) })).statusCode, 401)
  t.equal(done(await signIn('codes')).status, 'second-factor-needed', 'the passphrase is still looked at')
  await until(async () => (await typesOf(streams.user(who.userId))).includes('UserLocked'))
})

/** Two-sided p of the Mann-Whitney U test, by the normal approximation. */
function mannWhitney(a: readonly number[], b: readonly number[]): number {
  const ranked = [...a.map(value => ({ value, ofA: true })), ...b.map(value => ({ value, ofA: false }))]
  ranked.sort((x, y) => x.value - y.value)
  const rankSum = ranked.reduce((sum, { ofA }, i) => sum + (ofA ? i + 1 : 0), 0)
  const u = rankSum - (a.length * (a.length + 1)) / 2
  const deviation = Math.sqrt((a.length * b.length * (a.length + b.length + 1)) / 12)
  const z = Math.abs(u - (a.length * b.length) / 2) / deviation
  return 2 * (1 - cumulative(z))
}

/** Of the standard normal distribution (Abramowitz and Stegun 26.2.17). */
function cumulative(z: number): number {
  const k = 1 / (1 + 0.2316419 * z)
  const tail = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429]
  const sum = tail.reduce((total, factor, i) => total + factor * k ** (i + 1), 0)
  return 1 - (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * sum
}

t.test('abuse 18: whether there is such a user, and locked, shows neither in the answer nor in its time', async t => {
  const names = Array.from({ length: 6 }, (_, n) => `eighteen-${n}`)
  for (const name of names) await user(name)
  // Half of those there are, all of the time.
  for (const name of names.slice(0, 3))
    for (let n = 0; n < 10; n += 1) await signIn(name, 'one too many', { from: `198.51.${n}.8` })
  const times: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] }
  const answers = new Set<string>()
  const measure = async (kind: 'known' | 'unknown', name: string, n: number) => {
    const started = performance.now()
    const answer = await signIn(name, 'no passphrase of theirs', { from: `198.51.${n}.7` })
    times[kind].push(performance.now() - started)
    const { date: _, 'x-correlation-id': __, ...headers } = answer.headers
    answers.add(JSON.stringify([answer.statusCode, headers, answer.body.replace(/"correlationId":"[^"]*"/, '')]))
  }
  // The first round warms up and is not counted.
  for (let round = 0; round < 9; round += 1) {
    for (const [i, name] of names.entries()) {
      await measure('known', name, i)
      await measure('unknown', `nobody-${i}`, i)
    }
    if (round === 0) for (const kind of ['known', 'unknown'] as const) times[kind] = []
  }
  t.equal(answers.size, 1)
  const p = mannWhitney(times.known, times.unknown)
  t.ok(p > 0.01, `p = ${p.toFixed(3)} over ${times.known.length} + ${times.unknown.length} attempts`)
})

t.test('abuse 19: a flood of attempts is turned away, and who is in goes on', async t => {
  const who = await user('nineteen')
  const answers = Array.from({ length: 300 }, (_, n) =>
    signIn(n % 2 ? `nobody-${n}` : 'nineteen', `wrong passphrase number ${n}`, { from: `203.0.${n}.1` }),
  )
  t.equal((await me(who.accessToken)).statusCode, 200)
  const refreshed = await auth('refresh', { refreshToken: who.refreshToken })
  t.equal(refreshed.statusCode, 200, 'what needs no passphrase does not wait for those')
  const counts = new Map<number, number>()
  for (const { statusCode } of await Promise.all(answers)) counts.set(statusCode, (counts.get(statusCode) ?? 0) + 1)
  const { 401: judged = 0, 429: turnedAway = 0 } = Object.fromEntries(counts)
  t.equal(judged + turnedAway, 300, [...counts].join(' '))
  t.ok(judged >= 1 && judged <= 60, `${judged} were looked at`)
  await until(async () => (await signIn('nineteen', goodPassphrase, { from: '192.0.2.19' })).statusCode !== 429)
})

t.test('abuse 20: a bad passphrase is refused, and what is wrong with it is said', async t => {
  const { link } = done(await command('create-user', { loginName: 'twenty' }))
  const answer = await auth('link', { link, passphrase: 'too short' })
  t.equal(answer.statusCode, 422)
  t.match(answer.json().errors, [{ path: 'passphrase', message: /15 characters/ }])
  t.notMatch(answer.body, 'too short')
  t.equal((await auth('link', { link, passphrase: 'correct horse battery staple' })).statusCode, 422)
  t.equal((await auth('link', { link, passphrase: 'x'.repeat(1025) })).statusCode, 400)
  const long = `${goodPassphrase} `.repeat(4)
  t.equal(done(await auth('link', { link, passphrase: long })).status, 'signed-in')
  t.equal((await signIn('twenty', long.slice(0, 72))).statusCode, 401, 'nothing is cut off')
})

t.test('abuse 21: a key is shown once, kept as a hash, narrowed, and ends', async t => {
  const owner = await user('twenty-one')
  const principal = { kind: 'user', id: owner.userId }
  done(await command('grant-role', { principal, role: 'target-admin', scope: everything, reason: 'spec' }))
  const issue = { name: 'laptop', permissions: ['target:write'], expiresSeconds: 3_600 }
  const { apiKey, stream } = done(await auth('api-keys/issue', issue, { as: owner.accessToken }))
  t.match(apiKey, /^opsk_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$/)
  const target = (name: string, as: string) => command('create-target', { name, address: '192.0.2.9' }, { as })
  t.equal((await target('by-key', apiKey)).statusCode, 201)
  const { actor } = done(await send('GET', '/v1/auth/me', undefined, { as: apiKey }))
  t.match(actor, { kind: 'api-key', onBehalfOf: `user:${owner.userId}` }, 'a key is whose it is')
  t.equal(
    (await command('drain-executor', { executorId: 'east' }, { as: apiKey })).statusCode,
    403,
    'narrower than its owner',
  )
  t.equal((await target('by-key', `${apiKey.slice(0, -1)}${apiKey.endsWith('A') ? 'B' : 'A'}`)).statusCode, 401)
  t.equal((await auth('totp/begin', { passphrase: goodPassphrase }, { as: apiKey })).statusCode, 403, 'a key is nobody')
  await until(async () => (await typesOf(stream)).includes('ApiKeyUsed'))
  const log = JSON.stringify((await vault.store.read(stream)).events, (_, v) => (typeof v === 'bigint' ? String(v) : v))
  t.notMatch(log, apiKey.split('_')[2])
  const keyId = stream.slice('apikey-'.length)
  const stranger = await user('twenty-one-b')
  t.equal((await auth('api-keys/revoke', { keyId }, { as: stranger.accessToken })).statusCode, 404)
  done(await auth('api-keys/revoke', { keyId }, { as: owner.accessToken }))
  t.equal((await target('by-key', apiKey)).statusCode, 401)

  const narrow = { ...issue, permissions: undefined, scopes: [{ kind: 'labels', labels: 'env=lab' }] }
  const ofLab = done(await auth('api-keys/issue', narrow, { as: owner.accessToken })).apiKey
  const tagged = (env: string) =>
    command('create-target', { name: env, address: '192.0.2.9', tags: { env } }, { as: ofLab })
  t.equal((await tagged('lab')).statusCode, 201)
  t.equal((await tagged('prod')).statusCode, 403, 'its owner may, it may not')
  t.equal((await target('untagged', ofLab)).statusCode, 403)
  const wider = { name: 'w', owner: { kind: 'user', id: owner.userId } }
  done(await command('grant-role', { principal, role: 'user-admin', scope: everything, reason: 'spec' }))
  const all = done(
    await auth('api-keys/issue', { name: 'all', expiresSeconds: 3_600 }, { as: owner.accessToken }),
  ).apiKey
  t.equal((await command('issue-api-key', wider, { as: all })).statusCode, 201)
  const admin = { ...issue, permissions: ['api-key:write', 'self:read'] }
  const issuer = done(await auth('api-keys/issue', admin, { as: owner.accessToken })).apiKey
  t.equal((await command('issue-api-key', wider, { as: issuer })).statusCode, 403, 'no key makes one that may more')

  const account = done(await command('create-service-account', { name: 'nightly' }))
  const serviceAccountId = account.stream.slice('serviceaccount-'.length)
  const asked = { name: 'n', owner: { kind: 'service-account', id: serviceAccountId } }
  const ofAccount = done(await command('issue-api-key', asked)).apiKey
  t.equal((await target('by-account', ofAccount)).statusCode, 403, 'nothing was granted')
  const grant = {
    principal: { kind: 'service-account', id: serviceAccountId },
    role: 'target-admin',
    scope: everything,
  }
  done(await command('grant-role', { ...grant, reason: 'spec' }))
  t.equal((await target('by-account', ofAccount)).statusCode, 201)
  done(await command('disable-service-account', { serviceAccountId, reason: 'replaced' }))
  t.equal((await target('by-account', ofAccount)).statusCode, 401, 'stops with its owner')
  t.equal((await command('issue-api-key', { ...asked, name: 'm' })).statusCode, 409)
})

t.test('a repeated request gets the answer of the first, without the secret', async t => {
  const headers = { 'idempotency-key': 'once' }
  const first = done(await command('create-user', { loginName: 'repeated' }, { headers }))
  const second = done(await command('create-user', { loginName: 'repeated' }, { headers }))
  t.equal(second.stream, first.stream)
  t.type(first.link, 'string')
  t.equal(second.link, null)
})

t.test('a passphrase that has to be changed is changed before anything else', async t => {
  const who = await user('change')
  done(await command('require-passphrase-change', { userId: who.userId, reason: 'seen on a screen' }))
  const step = done(await signIn('change'))
  t.equal(step.status, 'passphrase-change-needed')
  t.equal((await me(step.challenge)).statusCode, 401)
  const { challenge } = step
  t.equal(done(await auth('required-passphrase', { challenge, passphrase: otherPassphrase })).status, 'signed-in')
  t.equal((await auth('required-passphrase', { challenge, passphrase: goodPassphrase })).statusCode, 401, 'once')
  t.equal(done(await signIn('change', otherPassphrase)).status, 'signed-in')
})

t.test('what is sent twice at once sets one passphrase, and that one counts', async t => {
  const { link } = done(await command('create-user', { loginName: 'double' }))
  const set = () => auth('link', { link, passphrase: goodPassphrase })
  t.same((await Promise.all([set(), set(), set()])).map(({ statusCode }) => statusCode).sort(), [200, 403, 403])
  const { accessToken } = done(await signIn('double'))
  const given = { current: goodPassphrase, passphrase: otherPassphrase }
  const change = () => auth('passphrase', given, { as: accessToken })
  const changed = (await Promise.all([change(), change()])).map(({ statusCode }) => statusCode)
  t.ok(changed.includes(200), changed.join(' '))
  t.equal((await signIn('double', otherPassphrase)).statusCode, 200)
  t.equal((await signIn('double', goodPassphrase)).statusCode, 401)
})

t.test('nobody has more sessions than they can use: the first ones end', async t => {
  const who = await user('many')
  const { userId } = who
  const at = new Date().toISOString()
  for (let n = 0; n < 50; n += 1) {
    const sessionId = derivedId('session of many', n)
    const data = { sessionId, userId, method: 'passphrase', mfa: false, refreshHash: 'a'.repeat(64) } as const
    const lasting = { idleSeconds: 1_800, startedAt: at, expiresAt: '2030-01-01T00:00:00.000Z' }
    await vault.append(streams.session(sessionId), { type: 'SessionStarted', data: { ...data, ...lasting } })
  }
  const last = derivedId('session of many', 49)
  await until(async () => {
    const ended = await auth('sessions/end', { sessionId: last }, { as: who.accessToken })
    return ended.statusCode === 200
  })
  const next = done(await signIn('many'))
  t.equal((await me(who.accessToken)).statusCode, 401, 'the first of 51')
  t.match((await vault.store.read(streams.session(who.sessionId))).events.at(-1)?.data, { why: 'too-many' })
  t.equal((await me(next.accessToken)).statusCode, 200)
  t.same(await typesOf(streams.session(derivedId('session of many', 0))), ['SessionStarted'])
})
