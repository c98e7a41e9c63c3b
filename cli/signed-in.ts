import { problemOf, reach } from './client.ts'
import { ApiProblem } from './errors.ts'
import { alone, readTokens, type Tokens, writeTokens } from './tokens.ts'

export type NextStep =
  | ({ status: 'signed-in' } & Tokens)
  | { status: 'second-factor-needed'; challenge: string; factors: string[] }
  | { status: 'passphrase-change-needed'; challenge: string }

/** So long before its end a token is exchanged, lest it ends on its way. */
const MARGIN_MS = 30_000

/** One of the public steps of signing in. */
export async function authStep<T>(url: string, path: string, body: object, as?: string): Promise<T> {
  const response = await reach(`${url}/v1/auth/${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'opsconductor-cli',
      ...(as !== undefined && { authorization: `Bearer ${as}` }),
    },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw await problemOf(response)
  // The API of the same version answers what its description says.
  return (await response.json()) as T
}

/** The access token of whoever is signed in here, renewed when its end is near; undefined when nobody is. */
export async function currentToken(env: NodeJS.ProcessEnv, url: string): Promise<string | undefined> {
  const known = readTokens(env, url)
  if (!known || isFresh(known)) return known?.accessToken
  return await alone(env, async () => {
    // Another process may have renewed it while this one waited.
    const latest = readTokens(env, url)
    if (!latest || isFresh(latest)) return latest?.accessToken
    const renewed = await authStep<NextStep>(url, 'refresh', { refreshToken: latest.refreshToken }).catch(error => {
      if (!(error instanceof ApiProblem) || error.problem.status !== 401) throw error
      writeTokens(env, url, undefined)
    })
    if (renewed?.status !== 'signed-in') return undefined
    writeTokens(env, url, renewed)
    return renewed.accessToken
  })
}

const isFresh = ({ accessTokenExpiresAt }: Tokens) => Date.parse(accessTokenExpiresAt) - Date.now() > MARGIN_MS
