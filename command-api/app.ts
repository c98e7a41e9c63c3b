import { Readable } from 'node:stream'
import { z } from 'zod'
import {
  type ApiAnswer,
  type HttpServer,
  markTold,
  ProblemError,
  type Reply,
  type Request,
  tellPart,
} from '../infra/http/index.ts'
import { type Category, type CommandSpec, commands, filterCommands } from '../schemas/commands.ts'
import type { Problem, ProblemCode } from '../schemas/problems.ts'
import { commandAnswer, exampleAnswer } from './answer.ts'
import { shownOnceAnswer } from './auth/shown-once.ts'
import { bulk, bulkAnswer, bulkExample, bulkLine } from './bulk.ts'
import { cancelMany, cancelRunsAnswer, cancelRunsExample } from './cancel-runs.ts'
import type { Answer } from './dispatch.ts'
import { enrolmentTokenAnswer } from './enrolment-token.ts'
import { type CommandDeps, commandSpec, createExecutor, forbidden } from './execute.ts'
import { examplePlan, type RunPlan, runPlan } from './plan-run.ts'
import { commandHeaders, envelopeOf, whoAsks } from './request-meta.ts'

/** The write side on an HTTP server: one route for each command of the schemas, one for many commands at once. */
export function registerCommandApi(http: HttpServer, deps: CommandDeps): void {
  const execute = createExecutor(deps)
  for (const [name, spec] of Object.entries(commands)) {
    const { permission, summary, schema, example, creates, category } = spec
    const api = {
      ...{ operationId: name, tag: category, summary, headers: commandHeaders },
      body: { schema, example },
      answers: {
        200: answersOf[name]?.(spec) ?? { ...durable, example: exampleAnswer(spec) },
        ...(creates && {
          201: { description: 'Created, durable', schema: commandAnswer, example: exampleAnswer(spec) },
        }),
      },
      problems: [...commandProblems, ...problemsOf[category]],
    }
    const options = { config: { permission, api }, onError: recordForbidden(deps, name) }
    http.post(`/v1/commands/${name}`, options, async (request, reply) => {
      const answer = await execute(name, request.body, envelopeOf(request))
      reply.code(statusOf(name, answer))
      if ('revision' in answer) reply.header('etag', `"${answer.revision}"`)
      return answer
    })
  }
  // Any other name: known only here, so that a mistyped command is told from a mistyped path.
  http.post<{ Params: { name: string } }>(
    '/v1/commands/:name',
    { config: { permission: 'command:send' } },
    async request => {
      commandSpec(request.params.name)
      throw new ProblemError('not-found')
    },
  )
  registerBulk(http, deps, execute)
  registerCancelRuns(http, deps)
}

const durable = { description: 'Durable, or nothing to do (no events)', schema: commandAnswer }
const planOrNothing = {
  description: 'With mode plan: what would happen. Else: there is such a run already (no events)',
  schema: z.union([runPlan, commandAnswer]),
  example: examplePlan,
}

/** Commands that answer with more than what they have recorded. */
const answersOf: Readonly<Record<string, (spec: CommandSpec) => ApiAnswer>> = {
  'trigger-run': () => planOrNothing,
  rerun: () => planOrNothing,
  'create-enrolment-token': spec => ({
    description: 'Durable; the token is in this answer and nowhere else',
    schema: enrolmentTokenAnswer,
    example: { ...exampleAnswer(spec), token: `opsce_${'x'.repeat(43)}`, expiresAt: '2030-01-01T01:00:00.000Z' },
  }),
  'create-user': spec => shownOnce(spec, 'link'),
  'create-reset-link': spec => shownOnce(spec, 'link'),
  'issue-api-key': spec => shownOnce(spec, 'apiKey'),
}

const shownOnce = (spec: CommandSpec, field: 'link' | 'apiKey'): ApiAnswer => ({
  description: `Durable; the ${field} is in this answer and nowhere else`,
  schema: shownOnceAnswer(field),
  example: { ...exampleAnswer(spec), [field]: 'opsl_…' },
})

function registerCancelRuns(http: HttpServer, deps: CommandDeps): void {
  const name = 'cancel-runs'
  const { permission, summary, schema, example, category } = filterCommands[name]
  const api = {
    ...{ operationId: name, tag: category, summary },
    headers: commandHeaders.omit({ 'If-Match': true }),
    body: { schema, example },
    answers: {
      200: { description: 'What became of each run', schema: cancelRunsAnswer, example: cancelRunsExample },
    },
    problems: commandProblems,
  }
  const options = { config: { permission, api }, onError: recordForbidden(deps, name) }
  http.post(`/v1/commands/${name}`, options, request => cancelMany(deps, request.body, envelopeOf(request)))
}

/** 201 when something new exists under the answer's stream. */
function statusOf(name: string, answer: Answer | RunPlan): number {
  return commandSpec(name).creates && 'events' in answer && answer.events.length > 0 ? 201 : 200
}

/** A caller who is turned away at the door never reaches the executor; that they tried is history all the same. */
function recordForbidden(deps: CommandDeps, command: string) {
  return async (request: Request, _reply: Reply, error: Error): Promise<void> => {
    const who = whoAsks(request)
    if (!who || !(error instanceof ProblemError) || error.code !== 'forbidden') return
    markTold(error)
    await forbidden(deps, command, who)
  }
}

function registerBulk(http: HttpServer, deps: CommandDeps, execute: ReturnType<typeof createExecutor>): void {
  const ndjson = 'application/x-ndjson'
  const api = {
    operationId: 'send-commands',
    tag: 'bulk',
    summary: 'Send up to 1000 commands, one a line; the answers come one a line, in order',
    description:
      'Lines about the same resource are worked on in order, others side by side. A refused line does not stop the rest.',
    body: {
      schema: bulkLine,
      contentType: ndjson,
      example: { command: 'create-target', data: commands['create-target']?.example },
    },
    answers: {
      200: { description: 'One answer a line', schema: bulkAnswer, contentType: ndjson, example: bulkExample },
    },
  }
  const config = { permission: 'command:send', consumes: ndjson, api } as const
  http.post('/v1/commands', { config, onError: recordForbidden(deps, api.operationId) }, async (request, reply) => {
    // The parser for NDJSON hands over the stream itself.
    const lines = request.body as AsyncIterable<Uint8Array>
    const refused = (problem: Problem, error: unknown) => tellPart(request, problem, error)
    reply.type(ndjson)
    return reply.send(Readable.from(bulk({ execute, statusOf, refused }, lines, envelopeOf(request))))
  })
}

const commandProblems: ProblemCode[] = [
  'invalid-input',
  'invalid-json',
  'conflict',
  'request-in-flight',
  'precondition-failed',
  'body-too-large',
  'unsupported-media-type',
  'idempotency-key-reused',
  'secret-in-payload',
  'event-store-unavailable',
]
const problemsOf: Record<Category, ProblemCode[]> = {
  target: ['target-not-found', 'target-already-exists', 'target-decommissioned', 'too-many-tags'],
  credential: ['credential-not-found', 'credential-already-exists', 'credential-revoked', 'vault-unavailable'],
  job: ['job-not-found', 'job-already-exists', 'job-archived', 'invalid-workflow', 'command-denied'],
  executor: ['executor-not-found', 'executor-not-enrolled', 'executor-revoked'],
  role: ['role-not-found', 'role-already-exists', 'role-retired'],
  group: ['group-not-found', 'group-already-exists', 'sod-conflict', 'justification-needed'],
  grant: [
    'grant-not-found',
    'grant-already-exists',
    'grant-ended',
    'sod-conflict',
    'justification-needed',
    'role-not-found',
    'role-retired',
    'group-not-found',
  ],
  user: [
    ...(['user-not-found', 'user-already-exists', 'login-name-taken', 'user-deactivated', 'user-erased'] as const),
    'vault-unavailable',
  ],
  'service-account': [
    ...(['service-account-not-found', 'service-account-already-exists'] as const),
    ...(['service-account-owner-inactive', 'user-not-found', 'group-not-found'] as const),
  ],
  'api-key': ['api-key-not-found', 'api-key-already-exists', 'api-key-owner-inactive', 'user-not-found'],
  session: ['session-not-found'],
  sod: [
    'sod-rule-not-found',
    'sod-rule-already-exists',
    'sod-rule-retired',
    'sod-violation-not-found',
    'sod-self-waiver',
  ],
  'break-glass': [
    'break-glass-not-found',
    'break-glass-already-exists',
    'break-glass-not-possible',
    'break-glass-not-over',
    'break-glass-reviewed',
    'break-glass-self-review',
  ],
  run: [
    'job-not-found',
    'job-version-not-found',
    'invalid-parameters',
    'job-disabled',
    'job-archived',
    'selection-missing',
    'empty-selection',
    'too-many-targets',
    'target-not-found',
    'target-decommissioned',
    'credential-missing',
    'credential-not-found',
    'credential-revoked',
    'credential-unfit',
    'invalid-parameters',
    'command-denied',
    'confirmation-needed',
    'run-not-found',
    'run-already-exists',
    'run-finished',
    'target-run-not-found',
    'target-run-finished',
    'step-not-running',
    'step-not-unclear',
    'approval-not-open',
    'approval-missing',
    'approval-expired',
    'approval-out-of-date',
    'approval-not-yours',
    'self-approval-refused',
    'justification-needed',
    'sod-conflict',
  ],
}
