import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateSync } from 'otplib'
import t, { type Test } from 'tap'
import { startCli } from '../test/support/cli.ts'
import { done } from '../test/support/commanding.ts'
import { cliClient, openidProvider, type Person } from '../test/support/openid.ts'
import { goodPassphrase, signInBench, until } from '../test/support/sign-in.ts'

const PATIENCE_MS = 30_000
const provider = await openidProvider(t)
const settings = {
  OPSCONDUCTOR_OIDC_ISSUER: provider.issuer,
  OPSCONDUCTOR_OIDC_CLI_CLIENT_ID: cliClient.id,
  OPSCONDUCTOR_OIDC_EGRESS_ALLOW: '127.0.0.1',
}
const { http, another, command, auth } = await signInBench(t, settings)
const url = await http.listen({ host: '127.0.0.1', port: 0 })
const ann: Person = { sub: 'ann', name: 'Ann Example' }

function atHome(t: Test, api = url) {
  const state = mkdtempSync(join(tmpdir(), 'opsc-state-'))
  t.teardown(() => rmSync(state, { recursive: true, force: true }))
  const env = { XDG_STATE_HOME: state, XDG_CONFIG_HOME: state, OPSCONDUCTOR_URL: api }
  return (args: string[], input = '') => startCli(args, { env, input })
}

/** Until it says where to go. */
async function login(cli: ReturnType<typeof atHome>, { input = '', more = [] as string[] } = {}) {
  const started = cli(['login', '--oidc', ...more], input)
  t.teardown(() => started.child.kill('SIGKILL'))
  const said = /^http\S+$/m
  await until(() => said.test(started.said.err) || started.child.exitCode !== null, PATIENCE_MS)
  return { ...started, goTo: said.exec(started.said.err)?.[0] ?? '' }
}

/** As no browser does it: by another method, or by another name of this address. */
const odd = (to: URL, options: { method?: string; headers?: Record<string, string> }) =>
  new Promise<number | undefined>((resolve, reject) => {
    const sent = request(to, options, response => resolve(response.resume().statusCode))
    sent.once('error', reject).end()
  })

t.test('somebody signs in on the command line by a browser', async t => {
  const cli = atHome(t)
  const { goTo, ended } = await login(cli)
  const back = await provider.goes(goTo, ann)
  t.match(back.href, /^http:\/\/127\.0\.0\.1:\d+\/signed-in\?/)
  const forged = new URL(back)
  forged.searchParams.set('state', 'another')
  t.equal((await fetch(forged)).status, 400, 'another state')
  forged.searchParams.delete('state')
  t.equal((await fetch(forged)).status, 400, 'no state')
  t.equal((await fetch(new URL('/favicon.ico', back))).status, 404)
  t.equal(await odd(back, { method: 'POST' }), 404)
  t.equal(await odd(back, { headers: { host: `evil.example:${back.port}` } }), 404, 'by a name that was rebound')
  const page = await fetch(back)
  t.equal(page.status, 200, 'none of that took its place')
  t.match(page.headers.get('content-security-policy'), "default-src 'none'")
  const text = await page.text()
  for (const value of back.searchParams.values()) t.notMatch(text, value)
  const { code, out, err } = await ended
  t.equal(code, 0, err)
  t.match(JSON.parse(out), { userId: /^[0-9a-f-]{36}$/, url })
  for (const secret of [back.searchParams.get('code') ?? '', 'opsb_', 'opsr_']) t.notMatch(out + err, secret)
  const me = JSON.parse((await cli(['whoami']).ended).out)
  t.match(me, { user: { displayName: 'Ann Example' } })
  await t.rejects(fetch(back), 'nobody listens any more')
})

t.test('a second factor is asked for where there is one', async t => {
  const signedIn = await login(atHome(t))
  await fetch(await provider.goes(signedIn.goTo, { sub: 'bob' }))
  const { userId } = JSON.parse((await signedIn.ended).out)
  const { link } = done(await command('create-reset-link', { userId, reason: 'wants a second factor' }))
  const { accessToken: as } = done(await auth('link', { link, passphrase: goodPassphrase }))
  const { factorId, secret } = done(await auth('totp/begin', { passphrase: goodPassphrase }, { as }))
  const confirm = { factorId, code: generateSync({ secret }) }
  const { recoveryCodes } = done(await auth('totp/confirm', confirm, { as }))
  const again = await login(atHome(t), { input: `${recoveryCodes[0]}\n` })
  await fetch(await provider.goes(again.goTo, { sub: 'bob' }))
  const { code, out, err } = await again.ended
  t.equal(code, 0, err)
  t.equal(JSON.parse(out).userId, userId)
  const without = await login(atHome(t))
  await fetch(await provider.goes(without.goTo, { sub: 'bob' }))
  t.equal((await without.ended).code, 2, 'not without one')
})

t.test('the provider says no, or nobody comes back', async t => {
  const cli = atHome(t)
  const { goTo, ended } = await login(cli)
  const back = await provider.goes(goTo, ann)
  back.searchParams.delete('code')
  back.searchParams.set('error', 'access_denied')
  t.equal((await fetch(back)).status, 200)
  const { code, err } = await ended
  t.equal(code, 3)
  t.match(err, /says access_denied/)
  const hostile = await login(cli)
  const coloured = new URL(`?error=%1b[2Jfoo&state=${new URL(hostile.goTo).searchParams.get('state')}`, back)
  coloured.port = new URL(new URL(hostile.goTo).searchParams.get('redirect_uri') ?? '').port
  t.equal((await fetch(coloured)).status, 200)
  t.match((await hostile.ended).err, /says no$/m)
  const alone = await login(cli, { more: ['--timeout', '1'] })
  t.equal((await alone.ended).code, 124)
  t.equal((await cli(['whoami']).ended).code, 3)
})

t.test('where nothing is set up for it, and beside another way', async t => {
  const other = await another({})
  const cli = atHome(t, await other.http.listen({ host: '127.0.0.1', port: 0 }))
  const { ended } = await login(cli)
  const { code, err } = await ended
  t.equal(code, 4)
  t.match(err, /No OpenID provider is set up/)
  for (const beside of ['--link', 'ann']) t.equal((await cli(['login', '--oidc', beside]).ended).code, 2, beside)
})
