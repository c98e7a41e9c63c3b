import { z } from 'zod'
import { type ApiOperation, type HttpServer, parseInput, type Request } from '../../infra/http/index.ts'
import { apiKeyCommands } from '../../schemas/api-key.ts'
import { actorSchema, id } from '../../schemas/kernel.ts'
import type { ProblemCode } from '../../schemas/problems.ts'
import { typedCode } from '../../schemas/sign-in-bus.ts'
import { factorKind, passphrase } from '../../schemas/user.ts'
import { commandAnswer } from '../answer.ts'
import type { AuthDeps } from './deps.ts'
import {
  beginTotp,
  changeOwnPassphrase,
  confirmTotp,
  endOwnSessions,
  issueOwnKey,
  newRecoveryCodes,
  removeTotp,
  revokeOwnKey,
  selfOf,
  whoAmI,
} from './own.ts'
import { signInAnswer, signInExample } from './routes.ts'
import { signOut } from './sessions.ts'
import { shownOnceAnswer } from './shown-once.ts'

const codes = z.array(z.string()).describe('Each stands in for a second factor once; shown this once')
const signedIn = { description: 'A new session: all others have ended', schema: signInAnswer, example: signInExample }
const withPassphrase = z.strictObject({ passphrase })
const example = { passphrase: 'four rusty lanterns under water' }
const exampleId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'

type Own<S extends z.ZodType> = {
  path: string
  operationId: string
  summary: string
  body: S
  example: unknown
  answer: { description: string; schema: z.ZodType; example?: unknown }
  problems?: ProblemCode[]
  run(deps: AuthDeps, request: Request, body: z.output<S>): Promise<unknown>
}

/** What everybody may do about themselves, without any grant. */
export function registerOwn(http: HttpServer, deps: AuthDeps): void {
  registerWhoAmI(http, deps)
  registerFactors(http, deps)
  own(http, deps, {
    path: 'sign-out',
    operationId: 'sign-out',
    summary: 'End this session',
    body: z.strictObject({}),
    example: {},
    answer: { description: 'It has ended', schema: z.object({ ended: z.literal(1) }) },
    run: async (deps, request) => {
      await signOut(deps, request, selfOf(request).actor)
      return { ended: 1 }
    },
  })
  own(http, deps, {
    path: 'passphrase',
    operationId: 'change-passphrase',
    summary: 'Change one’s own passphrase; every other session ends',
    body: z.strictObject({ current: passphrase, passphrase }),
    example: { current: 'the one before this one', ...example },
    answer: signedIn,
    problems: ['sign-in-failed', 'passphrase-refused'],
    run: changeOwnPassphrase,
  })
  own(http, deps, {
    path: 'sessions/end',
    operationId: 'end-own-sessions',
    summary: 'End one of one’s own sessions, or all others',
    body: z.union([z.strictObject({ sessionId: id }), z.strictObject({ others: z.literal(true) })]),
    example: { others: true },
    answer: { description: 'How many have ended', schema: z.object({ ended: z.int() }) },
    problems: ['session-not-found'],
    run: endOwnSessions,
  })
  const { name, permissions, scopes, expiresSeconds } = apiKeyCommands['issue-api-key'].shape
  own(http, deps, {
    path: 'api-keys/issue',
    operationId: 'issue-own-api-key',
    summary: 'Issue an API key that may do at most what one may oneself',
    body: z.strictObject({ name, permissions, scopes, expiresSeconds }),
    example: { name: 'laptop', permissions: ['run:read'], expiresSeconds: 7_776_000 },
    answer: { description: 'The key, this once', schema: shownOnceAnswer('apiKey') },
    run: issueOwnKey,
  })
  own(http, deps, {
    path: 'api-keys/revoke',
    operationId: 'revoke-own-api-key',
    summary: 'Revoke one of one’s own API keys',
    body: z.strictObject({ keyId: id }),
    example: { keyId: exampleId },
    answer: { description: 'It lets nobody in any more', schema: commandAnswer },
    problems: ['api-key-not-found'],
    run: revokeOwnKey,
  })
}

function registerFactors(http: HttpServer, deps: AuthDeps): void {
  own(http, deps, {
    path: 'totp/begin',
    operationId: 'begin-totp',
    summary: 'Get the seed for an authenticator app; it counts once a code of it was shown',
    body: withPassphrase,
    example,
    answer: {
      description: 'The seed, this once',
      schema: z.object({ factorId: id, secret: z.string(), uri: z.string() }),
    },
    problems: ['sign-in-failed'],
    run: beginTotp,
  })
  own(http, deps, {
    path: 'totp/confirm',
    operationId: 'confirm-totp',
    summary: 'Show a code of the new authenticator: from now on one is asked for',
    body: z.strictObject({ factorId: id, code: typedCode }),
    example: { factorId: exampleId, code: '123456' },
    answer: {
      description: 'Enrolled; with the first factor come recovery codes',
      schema: z.object({ factorId: id, recoveryCodes: codes.nullable() }),
    },
    problems: ['sign-in-failed'],
    run: confirmTotp,
  })
  own(http, deps, {
    path: 'totp/remove',
    operationId: 'remove-totp',
    summary: 'Take away an authenticator of one’s own; every other session ends',
    body: z.strictObject({ factorId: id, passphrase }),
    example: { factorId: exampleId, ...example },
    answer: signedIn,
    problems: ['sign-in-failed', 'second-factor-unknown'],
    run: removeTotp,
  })
  own(http, deps, {
    path: 'recovery-codes',
    operationId: 'new-recovery-codes',
    summary: 'Get new recovery codes; the ones before are good no more',
    body: withPassphrase,
    example,
    answer: { description: 'The codes, this once', schema: z.object({ recoveryCodes: codes }) },
    problems: ['sign-in-failed', 'second-factor-unknown'],
    run: newRecoveryCodes,
  })
}

function registerWhoAmI(http: HttpServer, deps: AuthDeps): void {
  const schema = z.object({
    actor: actorSchema,
    user: z
      .object({
        userId: id,
        loginName: z.string(),
        displayName: z.string().nullable(),
        email: z.string().nullable(),
        factors: z.array(z.object({ factorId: id, kind: factorKind })),
        recoveryCodesLeft: z.int(),
      })
      .nullable(),
  })
  const api: ApiOperation = {
    operationId: 'who-am-i',
    tag: 'auth',
    summary: 'Who one is',
    answers: { 200: { description: 'The principal of this request', schema } },
  }
  http.get('/v1/auth/me', { config: { permission: 'self:read', api } }, request => whoAmI(deps, request))
}

function own<S extends z.ZodType>(http: HttpServer, deps: AuthDeps, route: Own<S>): void {
  const { path, operationId, summary, body, answer, run } = route
  const api: ApiOperation = {
    ...{ operationId, tag: 'auth', summary },
    body: { schema: body, example: route.example },
    answers: { 200: answer },
    problems: ['invalid-input', 'vault-unavailable', ...(route.problems ?? [])],
  }
  const options = { config: { permission: 'self:write', api }, bodyLimit: 16_384 }
  http.post(`/v1/auth/${path}`, options, request => run(deps, request, parseInput(body, request.body)))
}
