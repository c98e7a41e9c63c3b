import type { Test } from 'tap'
import { openCommandSide } from '../../command-api/main.ts'
import { createApiKey } from '../../infra/api-keys.ts'
import { loadConfig } from '../../infra/config.ts'
import { createHttpServer } from '../../infra/http/index.ts'
import { done } from './commanding.ts'
import { type VaultBench, vaultBench } from './vault.ts'

export const goodPassphrase = 'four rusty lanterns under water'
export const otherPassphrase = 'nine crooked ladders over sand'

export type SignedInUser = { userId: string; sessionId: string; accessToken: string; refreshToken: string }
type Sent = { as?: string; from?: string; headers?: Record<string, string> }

/** A vault and a command API as they run, and somebody at the door. */
export async function signInBench(t: Test, own: NodeJS.ProcessEnv = {}) {
  const vault = await vaultBench(t)
  await vault.startVault()
  const api = await commandSide(t, vault, own)
  const { send } = api
  const command = async (name: string, data: object, sent: Sent = {}) =>
    await send('POST', `/v1/commands/${name}`, data, { as: api.administrator, ...sent })
  const auth = (path: string, data: object, sent: Sent = {}) => send('POST', `/v1/auth/${path}`, data, sent)
  /** Somebody who has set a passphrase and is signed in. */
  const user = async (loginName: string, passphrase = goodPassphrase): Promise<SignedInUser> => {
    const { link } = done(await command('create-user', { loginName }))
    return done(await auth('link', { link, passphrase }))
  }
  const signIn = (loginName: string, passphrase = goodPassphrase, sent: Sent = {}) =>
    auth('sign-in', { loginName, passphrase }, sent)
  /** Another process of the command API, as far as it can be told: over the same log and vault. */
  const another = (others = own) => commandSide(t, vault, others)
  return { ...api, vault, another, command, auth, user, signIn }
}
export type SignInBench = Awaited<ReturnType<typeof signInBench>>

async function commandSide(t: Test, { settings, log }: VaultBench, own: NodeJS.ProcessEnv) {
  const config = loadConfig({ ...settings, ...own })
  const administrator = createApiKey(config.apiKeysFile, 'spec', { now: new Date().toISOString() })
  const side = await openCommandSide(config, log)
  const http = await createHttpServer({
    ...{ log, authenticate: side.authenticate, ready: side.ready },
    edge: { rateLimit: 0, addressRateLimit: 0 },
  })
  side.register(http)
  t.teardown(async () => {
    await http.close()
    await side.close.run()
  })
  const send = (method: 'GET' | 'POST', url: string, data?: object, { as, from, headers = {} }: Sent = {}) =>
    http.inject({
      ...{ method, url },
      headers: {
        ...(as !== undefined && { authorization: `Bearer ${as}` }),
        ...(data && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(data && { payload: JSON.stringify(data) }),
      ...(from !== undefined && { remoteAddress: from }),
    })
  await until(() => side.ready().every(({ ok }) => ok))
  return { http, side, administrator, send }
}

const PATIENCE_MS = 10_000
const LOOK_EVERY_MS = 10

/** Resolves once it is so; throws when it is not in time. */
export async function until(so: () => boolean | Promise<boolean>, withinMs = PATIENCE_MS): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await so())) {
    if (performance.now() > deadline) throw new Error(`not so within ${withinMs} ms`)
    await new Promise(resolve => setTimeout(resolve, LOOK_EVERY_MS))
  }
}
