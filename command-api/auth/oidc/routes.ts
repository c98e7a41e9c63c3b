import { z } from 'zod'
import { type ApiOperation, type HttpServer, parseInput } from '../../../infra/http/index.ts'
import { signInAnswer, signInExample } from '../routes.ts'
import { beginOidc, finishOidc, type OidcDeps } from './sign-in.ts'

const text = z.string().min(1).max(4_000)
/** Ports that belong to nobody but their user. */
const where = z.strictObject({
  loopbackPort: z.coerce
    .number()
    .int()
    .min(1024)
    .max(65_535)
    .optional()
    .describe('Instead of the page: http://127.0.0.1:<port>/signed-in (RFC 8252), where that is set up'),
})
const returned = z.strictObject({ begun: text, state: text, code: text, iss: text.optional() })
const begun = `opsb_${'0'.repeat(32)}_${'x'.repeat(43)}`
const example = { begun, state: 'Wc3…', code: 'SplxlOBeZQQYbYS6WxSbIA', iss: 'https://id.example.org' }

/** Signing in by an OpenID provider: where to send the browser, and what it comes back with. */
export function registerOidc(http: HttpServer, deps: OidcDeps): void {
  const begin: ApiOperation = {
    operationId: 'begin-oidc-sign-in',
    tag: 'auth',
    summary: 'Where to go to sign in by the OpenID provider; good for ten minutes',
    query: where,
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
    problems: ['invalid-input', 'not-found', 'rate-limited', 'sign-in-provider-unavailable', 'vault-unavailable'],
  }
  http.get('/v1/auth/oidc/begin', { config: { public: true, api: begin } }, async (request, reply) => {
    reply.header('cache-control', 'no-store')
    return await beginOidc(deps, parseInput(where, request.query).loopbackPort)
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
