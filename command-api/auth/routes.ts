import { z } from 'zod'
import { type ApiOperation, type HttpServer, parseInput, type Request } from '../../infra/http/index.ts'
import type { ProblemCode } from '../../schemas/problems.ts'
import { publicKeySet, typedCode } from '../../schemas/sign-in-bus.ts'
import { loginName, passphrase } from '../../schemas/user.ts'
import type { AuthDeps } from './deps.ts'
import { refresh } from './sessions.ts'
import { byLink, byPassphrase, byRequiredChange, bySecondFactor } from './sign-in.ts'

const token = z.string().min(20).max(4_000)
const signedIn = z.object({
  status: z.literal('signed-in'),
  userId: z.uuid(),
  sessionId: z.uuid(),
  accessToken: z.string().describe('JSON Web Token (EdDSA), good for five minutes: send it as Bearer'),
  accessTokenExpiresAt: z.string(),
  refreshToken: z.string().describe('Good once, for the next pair of tokens'),
  sessionExpiresAt: z.string(),
})
/** What signing in answers: done, or what is still to be shown. */
export const signInAnswer = z.discriminatedUnion('status', [
  signedIn,
  z.object({
    status: z.literal('second-factor-needed'),
    challenge: z.string(),
    factors: z.array(z.enum(['totp', 'recovery-code'])),
  }),
  z.object({ status: z.literal('passphrase-change-needed'), challenge: z.string() }),
])
export const signInExample = {
  status: 'second-factor-needed',
  challenge: 'eyJhbGciOiJFZERTQSJ9.…',
  factors: ['totp', 'recovery-code'],
}
/** Whoever may not come in is told nothing but that. */
const problems: ProblemCode[] = ['invalid-input', 'sign-in-failed', 'rate-limited', 'vault-unavailable']

type Step<S extends z.ZodType> = {
  path: string
  operationId: string
  summary: string
  body: S
  example: unknown
  problems?: ProblemCode[]
  run(deps: AuthDeps, request: Request, body: z.output<S>): Promise<unknown>
}

/** What anybody may ask: the steps of signing in, and the keys that tokens are checked with. */
export function registerSignIn(http: HttpServer, deps: AuthDeps): void {
  step(http, deps, {
    path: 'sign-in',
    operationId: 'sign-in',
    summary: 'Sign in with a login name and a passphrase',
    body: z.strictObject({ loginName, passphrase }),
    example: { loginName: 'ann@example.org', passphrase: 'four rusty lanterns under water' },
    run: byPassphrase,
  })
  step(http, deps, {
    path: 'second-factor',
    operationId: 'sign-in-second-factor',
    summary: 'Go on with a code of an authenticator, or a recovery code',
    body: z.union([
      z.strictObject({ challenge: token, code: typedCode }),
      z.strictObject({ challenge: token, recoveryCode: typedCode }),
    ]),
    example: { challenge: signInExample.challenge, code: '123456' },
    run: bySecondFactor,
  })
  step(http, deps, {
    path: 'required-passphrase',
    operationId: 'sign-in-required-passphrase',
    summary: 'Choose a new passphrase, as an administrator asks',
    body: z.strictObject({ challenge: token, passphrase }),
    example: { challenge: signInExample.challenge, passphrase: 'four rusty lanterns under water' },
    problems: ['passphrase-refused'],
    run: byRequiredChange,
  })
  step(http, deps, {
    path: 'link',
    operationId: 'use-sign-in-link',
    summary: 'Set a passphrase by a link from an administrator, and sign in',
    body: z.strictObject({ link: token, passphrase }),
    example: { link: `opsl_${'0'.repeat(32)}_${'x'.repeat(43)}`, passphrase: 'four rusty lanterns under water' },
    problems: ['link-invalid', 'passphrase-refused'],
    run: byLink,
  })
  step(http, deps, {
    path: 'refresh',
    operationId: 'refresh-tokens',
    summary: 'Exchange a refresh token for new tokens; one that was used up ends its session',
    body: z.strictObject({ refreshToken: token }),
    example: { refreshToken: `opsr_${'0'.repeat(32)}_${'x'.repeat(43)}` },
    problems: ['unauthenticated'],
    run: (deps, request, body) => refresh(deps, request, body.refreshToken),
  })
  registerKeys(http, deps)
}

function step<S extends z.ZodType>(http: HttpServer, deps: AuthDeps, { path, body, run, ...of }: Step<S>): void {
  const { operationId, summary, example } = of
  const api: ApiOperation = {
    ...{ operationId, tag: 'auth', summary },
    body: { schema: body, example },
    answers: { 200: { description: 'Signed in, or the next step', schema: signInAnswer, example: signInExample } },
    problems: [...problems, ...(of.problems ?? [])],
  }
  http.post(`/v1/auth/${path}`, { config: { public: true, api }, bodyLimit: 16_384 }, request =>
    run(deps, request, parseInput(body, request.body)),
  )
}

/** So long everybody gets the same answer: anybody may ask, as often as they like. */
const KEEP_KEYS_MS = 5_000

function registerKeys(http: HttpServer, { vault, clock }: AuthDeps): void {
  let kept: { at: number; keys: Promise<z.output<typeof publicKeySet>> } | undefined
  const keys = () => {
    const now = clock.monotonic()
    if (kept && now - kept.at < KEEP_KEYS_MS) return kept.keys
    const asked = { at: now, keys: vault.ask('public-keys', {}) }
    asked.keys.catch(() => {
      if (kept === asked) kept = undefined
    })
    kept = asked
    return asked.keys
  }
  const api: ApiOperation = {
    operationId: 'token-keys',
    tag: 'auth',
    summary: 'The public keys that access tokens are signed with, as a JSON Web Key Set',
    answers: { 200: { description: 'RFC 7517', schema: publicKeySet } },
    problems: ['vault-unavailable'],
  }
  http.get('/v1/auth/jwks', { config: { public: true, api } }, async (_request, reply) => {
    reply.header('cache-control', 'public, max-age=300')
    return await keys()
  })
}
