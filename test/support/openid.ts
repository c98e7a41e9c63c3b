import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import Provider from 'oidc-provider'
import type { Test } from 'tap'

export const redirectUrl = 'https://app.example.org/signed-in'
export const client = { id: 'opsconductor', secret: 'a-secret-of-the-client-for-this-spec' }
/** A native application (RFC 8252): public, sent back to any port of the loopback interface. */
export const cliClient = { id: 'opsconductor-cli' }
export type Person = { sub: string; name?: string; email?: string; groups?: string[] }
/** What the provider says in the place of its own ID token; the keys of another are no good. */
export type Forged = { claims: object; otherKey?: boolean }
type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** An OpenID provider on loopback, and a browser that signs somebody in there. */
export async function openidProvider(t: Test) {
  const people = new Map<string, Person>()
  const now: { who: string; forged: Forged | undefined } = { who: '', forged: undefined }
  const [key, other] = [await newKey(), await newKey()]
  let handle: Handler = (_, response) => response.writeHead(503).end()
  const server = createServer((request, response) => handle(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // A TCP server's address is never a path.
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, configuration(people, await exportJWK(key.privateKey)))
  const callback = provider.callback()
  const forge = async ({ claims, otherKey }: Forged, response: ServerResponse) => {
    const signer = otherKey ? other : key
    const idToken = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'spec' })
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(signer.privateKey)
    const tokens = { access_token: 'x', token_type: 'Bearer', expires_in: 60, id_token: idToken }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(tokens))
  }
  handle = (request, response) => {
    if (request.url?.startsWith('/interaction/'))
      void provider.interactionFinished(request, response, { login: { accountId: now.who }, consent: {} })
    else if (request.url === '/token' && now.forged) void forge(now.forged, response)
    else callback(request, response)
  }
  /** Goes where it is sent, as far as to the address that it is sent back to. */
  const goes = async (url: string, person: Person): Promise<URL> => {
    people.set(person.sub, person)
    now.who = person.sub
    return await followed(url)
  }
  /** What it brings back to the redirect URL. */
  const browse = async (url: string, person: Person) => Object.fromEntries((await goes(url, person)).searchParams)
  return { issuer, goes, browse, forge: (forged: Forged | undefined) => Object.assign(now, { forged }) }
}

const newKey = () => generateKeyPair('RS256', { extractable: true })

const configuration = (people: ReadonlyMap<string, Person>, jwk: object) => ({
  clients: [
    { client_id: client.id, client_secret: client.secret, redirect_uris: [redirectUrl] },
    {
      client_id: cliClient.id,
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/signed-in'],
    },
  ],
  jwks: { keys: [{ ...jwk, kid: 'spec', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['of this spec'] },
  ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 60, IdToken: 60, Interaction: 60, Session: 60 },
  conformIdTokenClaims: false,
  claims: { openid: ['sub', 'groups'], profile: ['name'], email: ['email'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
  findAccount: (_: unknown, accountId: string) => ({ accountId, claims: () => people.get(accountId) }),
  loadExistingGrant: agreed,
})

type Context = {
  oidc: {
    provider: { Grant: new (of: object) => { addOIDCScope(scope: string): void; save(): Promise<string> } }
    client: { clientId: string }
    session: { accountId: string }
  }
}

/** Everybody has agreed already. */
async function agreed({ oidc: { provider, client, session } }: Context) {
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
  grant.addOIDCScope('openid profile email')
  await grant.save()
  return grant
}

const HOPS = 10

async function followed(first: string): Promise<URL> {
  const cookies = new Map<string, string>()
  const { origin } = new URL(first)
  let url = first
  for (let hop = 0; hop < HOPS; hop += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie } })
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const at = pair.indexOf('=')
      cookies.set(pair.slice(0, at), pair.slice(at + 1))
    }
    const location = answer.headers.get('location')
    if (!location) throw new Error(`${answer.status} ${await answer.text()}`)
    const next = new URL(location, url)
    if (next.origin !== origin) return next
    url = next.href
  }
  throw new Error('the provider never sent the browser back')
}
