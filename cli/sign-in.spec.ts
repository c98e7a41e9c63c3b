import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { startCli } from '../test/support/cli.ts'
import { type Asked, type Pretended, pretendApi, problemAnswer } from '../test/support/pretend-api.ts'
import { readSecrets, type Terminal } from './secret-input.ts'
import { currentToken } from './signed-in.ts'
import { alone, readTokens, writeTokens } from './tokens.ts'

const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString()
const tokens = (n: number, minutes = 5) => ({
  ...{ accessToken: `access-${n}`, refreshToken: `refresh-${n}`, userId: 'ann' },
  ...{ accessTokenExpiresAt: inMinutes(minutes), sessionExpiresAt: inMinutes(600) },
})
const signedIn = (n: number) => ({ status: 'signed-in', ...tokens(n) })
const home = (t: Test) => {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-home-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return { XDG_STATE_HOME: dir, XDG_CONFIG_HOME: dir }
}
const fileIn = (env: { XDG_STATE_HOME: string }) => join(env.XDG_STATE_HOME, 'opsconductor', 'tokens.json')
const command = (env: Record<string, string>, url: string, args: string[], input = '') =>
  startCli(args, { env: { ...env, OPSCONDUCTOR_URL: url }, input }).ended

t.test('what is asked for comes from standard input, line by line', async t => {
  const steps: Record<string, Pretended> = {
    '/v1/auth/sign-in': { status: 'passphrase-change-needed', challenge: 'first' },
    '/v1/auth/required-passphrase': { status: 'second-factor-needed', challenge: 'second', factors: ['totp'] },
    '/v1/auth/second-factor': signedIn(1),
    '/v1/auth/link': signedIn(2),
    '/v1/auth/me': { actor: { kind: 'user', id: 'ann' } },
  }
  const api = await pretendApi(t, ({ path }) => steps[path] ?? problemAnswer(404, 'not-found'))
  const env = home(t)
  const bodies = () => api.forget().map(({ path, body }) => [path.slice('/v1/auth/'.length), body])
  const first = await command(env, api.url, ['login'], 'ann\nold passphrase\nnew passphrase\r\n123456\n')
  t.equal(first.code, 0, first.err)
  t.same(bodies(), [
    ['sign-in', { loginName: 'ann', passphrase: 'old passphrase' }],
    ['required-passphrase', { challenge: 'first', passphrase: 'new passphrase' }],
    ['second-factor', { challenge: 'second', code: '123456' }],
  ])
  t.match(JSON.parse(first.out), { userId: 'ann', url: api.url })
  for (const secret of ['passphrase', 'access-1', 'refresh-1']) t.notMatch(first.out + first.err, secret)
  t.equal(statSync(fileIn(env)).mode & 0o777, 0o600)
  t.match(readTokens(env, api.url), { accessToken: 'access-1' })
  const who = await command(env, api.url, ['whoami'])
  t.match(JSON.parse(who.out), { actor: { id: 'ann' } })
  t.equal(api.forget().at(-1)?.as, 'access-1')
  const second = await command(env, api.url, ['login', 'ann'], 'pass\nnext\nabcd-efgh-abcd-efgh\n')
  t.equal(second.code, 0, second.err)
  t.same(bodies().at(0), ['sign-in', { loginName: 'ann', passphrase: 'pass' }])
  const short = await command(env, api.url, ['login', 'ann'], 'pass\nnext\n')
  t.match(short, { code: 2, err: /recovery code: a line of standard input is needed/ })
  bodies()
  const recovered = await command(env, api.url, ['login', 'ann'], 'pass\nnext\nabcd-efgh\n')
  t.equal(recovered.code, 0, recovered.err)
  t.same(bodies().at(-1), ['second-factor', { challenge: 'second', recoveryCode: 'abcd-efgh' }])
  const linked = await command(env, api.url, ['login', '--link'], 'opsl_x\nfour rusty lanterns\n')
  t.equal(linked.code, 0, linked.err)
  t.same(bodies(), [['link', { link: 'opsl_x', passphrase: 'four rusty lanterns' }]])
  t.match(readTokens(env, api.url), { accessToken: 'access-2' })
})

t.test('signing out forgets the tokens, whether the session was there or not', async t => {
  let answer: Pretended = {}
  const api = await pretendApi(t, () => answer)
  const env = home(t)
  t.match(await command(env, api.url, ['logout']), { code: 0, err: /nobody was signed in/ })
  t.same(api.asked, [])
  for (const [given, code, kept] of [
    [{}, 0, false],
    [problemAnswer(401, 'unauthenticated'), 0, false],
    [problemAnswer(503, 'vault-unavailable'), 1, true],
  ] as const) {
    answer = given
    writeTokens(env, api.url, tokens(1))
    writeTokens(env, 'http://other.example', tokens(2))
    t.equal((await command(env, api.url, ['logout'])).code, code)
    t.match(api.asked.at(-1), { path: '/v1/auth/sign-out', as: 'access-1' })
    t.equal(readTokens(env, api.url) !== undefined, kept)
    t.match(readTokens(env, 'http://other.example'), { accessToken: 'access-2' }, 'those of others stay')
  }
})

t.test('a token near its end is exchanged, once for all who ask', async t => {
  let refreshed = 1
  let next = (_: Asked): Pretended => signedIn(++refreshed)
  const api = await pretendApi(t, asked => next(asked))
  const env = home(t)
  const token = () => currentToken(env, api.url)
  t.equal(await token(), undefined, 'nobody is signed in')
  writeTokens(env, api.url, tokens(1))
  t.equal(await token(), 'access-1')
  t.same(api.asked, [], 'good for long enough')
  writeTokens(env, api.url, tokens(1, 0.4))
  t.same(await Promise.all([token(), token(), token()]), ['access-2', 'access-2', 'access-2'])
  t.match(api.forget(), [{ path: '/v1/auth/refresh', body: { refreshToken: 'refresh-1' } }])
  t.equal(refreshed, 2)
  t.match(readTokens(env, api.url), { refreshToken: 'refresh-2' })
  writeTokens(env, api.url, tokens(3, 0))
  next = () => problemAnswer(503, 'vault-unavailable')
  await t.rejects(token(), { name: 'ApiProblem' })
  t.match(readTokens(env, api.url), { refreshToken: 'refresh-3' }, 'it may be good yet')
  next = () => problemAnswer(401, 'unauthenticated')
  t.equal(await token(), undefined)
  t.equal(readTokens(env, api.url), undefined)
  t.notOk(existsSync(`${fileIn(env)}.lock`))
})

t.test('a file that is damaged holds nobody', async t => {
  const env = home(t)
  writeTokens(env, 'http://a.example', tokens(1))
  for (const text of ['', '[]', '{"http://a.example": {"accessToken": 1}}']) {
    writeFileSync(fileIn(env), text)
    t.equal(readTokens(env, 'http://a.example'), undefined)
  }
  writeTokens(env, 'http://a.example', tokens(2))
  t.match(JSON.parse(readFileSync(fileIn(env), 'utf8')), { 'http://a.example': { accessToken: 'access-2' } })
})

t.test('one process at a time, and none waits for ever for one that was killed', async t => {
  const env = home(t)
  const order: string[] = []
  let release = () => {}
  const first = alone(env, async () => {
    order.push('first begins')
    await new Promise<void>(resolve => {
      release = resolve
    })
    order.push('first ends')
  })
  const second = alone(env, async () => order.push('second'))
  release()
  await Promise.all([first, second])
  t.same(order, ['first begins', 'first ends', 'second'])
  await t.rejects(
    alone(env, async () => {
      throw new Error('of the work')
    }),
    { message: 'of the work' },
  )
  t.notOk(existsSync(`${fileIn(env)}.lock`), 'also when the work fails')
  const left = `${fileIn(env)}.lock`
  writeFileSync(left, '')
  const longAgo = new Date(Date.now() - 60_000)
  utimesSync(left, longAgo, longAgo)
  t.equal(await alone(env, async () => 'done'), 'done')
  await t.rejects(
    alone({ XDG_STATE_HOME: '/dev/null' }, async () => 'never'),
    { code: 'ENOTDIR' },
  )
})

t.test('a terminal shows what is asked, and nothing of what is typed', async t => {
  const sit = () => {
    const input = Object.assign(new PassThrough(), { isTTY: true })
    const output = new PassThrough()
    const terminal: Terminal = { input, output }
    return { input, terminal, seen: () => String(output.read() ?? '') }
  }
  const ann = sit()
  const asked = readSecrets(['Login name', 'Passphrase'], ann.terminal)
  ann.input.write('ann\r')
  // The second is asked for once the first is there.
  await new Promise(resolve => setImmediate(resolve))
  ann.input.write('hunter2 hunter2\r')
  t.same(await asked, ['ann', 'hunter2 hunter2'])
  t.equal(ann.seen(), 'Login name: \nPassphrase: \n')
  for (const key of ['\u0003', '\u0004']) {
    const gone = sit()
    const left = readSecrets(['Passphrase'], gone.terminal)
    gone.input.write(key)
    await t.rejects(left, { name: 'Interrupted' })
  }
  const silent = sit()
  const empty = readSecrets(['Passphrase'], silent.terminal)
  silent.input.write('\r')
  await t.rejects(empty, { name: 'UsageError' })
})
