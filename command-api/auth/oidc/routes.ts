import { z } from 'zod'
import { type ApiOperation, type HttpServer, parseInput } from '../../../infra/http/index.ts'
import { signInAnswer, signInExample } from '../routes.ts'
import { beginOidc, finishOidc, type OidcDeps } from './sign-in.ts'

const text = z.string().min(1).max(4_000)
const returned = z.strictObject({ begun: text, state: text, code: text, iss: text.optional() })
const begun = `opsb_${'0'.repeat(32)}_${'x'.repeat(43)}`
const example = { begun, state: 'Wc3…', code: 'SplxlOBeZQQYbYS6WxSbIA', iss: 'https://id.example.org' }

/** Signing in by an OpenID provider: where to send the browser, and what it comes back with. */
export function registerOidc(http: HttpServer, deps: OidcDeps): void {
  const begin: ApiOperation = {
    operationId: 'begin-oidc-sign-in',
    tag: 'auth',
    summary: 'Where to go to sign in by the OpenID provider; good for ten minutes',
    answers: {
      200: {
        description: 'Compare the state with the one that comes back to the redirect URL',
        schema: z.object({
          url: z.url(),
          state: z.string(),
          begun: z.string().describe('To be kept from everybody and shown in the end: without it nothing is finished'),
        }),
      },
    },
    problems: ['not-found', 'rate-limited', 'sign-in-provider-unavailable', 'vault-unavailable'],
  }
  http.get('/v1/auth/oidc/begin', { config: { public: true, api: begin } }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return await beginOidc(deps)
  })
  const finish: ApiOperation = {
    operationId: 'finish-oidc-sign-in',
    tag: 'auth',
    summary: 'Sign in with what the OpenID provider sent to the redirect URL',
    body: { schema: returned, example },
    answers: { 200: { description: 'Signed in, or the next step', schema: signInAnswer, example: signInExample } },
    problems: ['invalid-input', 'not-found', 'sign-in-failed', 'rate-limited', 'vault-unavailable'],
  }
  http.post('/v1/auth/oidc/finish', { config: { public: true, api: finish }, bodyLimit: 16_384 }, request =>
    finishOidc(deps, request, parseInput(returned, request.body)),
  )
}
