import { z } from 'zod'
import { type ProblemCode, problem, problems } from '../../schemas/problems.ts'
import type { ApiAnswer, ApiOperation, DescribedRoute } from './api-operation.ts'

type Json = Record<string, unknown>
export type OpenApiInfo = { title: string; version: string; description: string }

const PROBLEM_REF = { $ref: '#/components/schemas/Problem' }
const everywhere: ProblemCode[] = ['unauthenticated', 'forbidden', 'rate-limited', 'internal']

/** The OpenAPI 3.1 description of the routes that describe themselves. */
export function openApi(info: OpenApiInfo, routes: readonly DescribedRoute[]): Json {
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const path = route.url.replace(/:([A-Za-z]+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info,
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(r => r.operation.tag))].map(name => ({ name })),
    security: [{ bearer: [] }, { apiKey: [] }],
    paths,
    components: {
      schemas: { Problem: problemSchema },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key: `opsc_<id>_<secret>`' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      },
    },
  }
}

const problemSchema = {
  type: 'object',
  description: 'Problem details (RFC 9457)',
  required: ['type', 'title', 'status'],
  properties: {
    type: { type: 'string', enum: Object.keys(problems).map(code => `urn:opsconductor:problem:${code}`) },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: { type: 'string' }, message: { type: 'string' } },
      },
    },
    correlationId: { type: 'string', format: 'uuid' },
  },
}

function operation({ operation: api, permission, public: open }: DescribedRoute): Json {
  return {
    operationId: api.operationId,
    tags: [api.tag],
    summary: api.summary,
    ...(api.description !== undefined && { description: api.description }),
    ...(open ? { security: [] } : { 'x-permission': permission }),
    parameters: [
      ...parameters('path', api.params),
      ...parameters('query', api.query),
      ...parameters('header', api.headers),
    ],
    ...(api.body && { requestBody: { required: true, content: content(api.body, 'input') } }),
    responses: { ...answers(api), ...problemAnswers(api, open) },
  }
}

function parameters(place: 'path' | 'query' | 'header', schema: z.ZodObject | undefined): Json[] {
  if (!schema) return []
  const { properties = {}, required = [] } = jsonSchema(schema, 'input')
  // What zod makes of an object schema always has these as an object and a list of names.
  return Object.entries(properties as Record<string, Json>).map(([name, { description, ...of }]) => ({
    name,
    in: place,
    required: place === 'path' || (required as string[]).includes(name),
    ...(description !== undefined && { description }),
    schema: of,
  }))
}

function content(
  { schema, example, contentType = 'application/json' }: Omit<ApiAnswer, 'description'>,
  io: 'input' | 'output',
): Json {
  const of = { ...(schema && { schema: jsonSchema(schema, io) }), ...(example !== undefined && { example }) }
  return { [contentType]: of }
}

/** What has no place in JSON Schema (a check in code) is left out: the server still checks it. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const {
    $schema: _,
    '~standard': __,
    ...rest
  } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' }) as Json
  return rest
}

function answers({ answers: given }: ApiOperation): Json {
  return Object.fromEntries(
    Object.entries(given).map(([status, { description, ...answer }]) => {
      const empty = answer.schema === undefined && answer.contentType === undefined
      return [status, empty ? { description } : { description, content: content(answer, 'output') }]
    }),
  )
}

function problemAnswers({ problems: own = [] }: ApiOperation, open: boolean): Json {
  const byStatus = new Map<number, ProblemCode[]>()
  const codes = new Set([...(open ? (['internal'] as const) : everywhere), ...own])
  for (const code of codes) byStatus.set(problems[code][0], [...(byStatus.get(problems[code][0]) ?? []), code])
  return Object.fromEntries([...byStatus].sort(([a], [b]) => a - b).map(([status, of]) => [status, problemAnswer(of)]))
}

function problemAnswer(codes: readonly ProblemCode[]): Json {
  const examples = Object.fromEntries(codes.map(code => [code, { value: problem(code) }]))
  return {
    description: codes.map(code => problems[code][1]).join('; '),
    content: { 'application/problem+json': { schema: PROBLEM_REF, examples } },
  }
}
