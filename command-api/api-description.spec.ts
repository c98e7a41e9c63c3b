import { Ajv2020 } from 'ajv/dist/2020.js'
import { pino } from 'pino'
import t from 'tap'
import { createAccessState } from '../infra/access.ts'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { createHttpServer, registerDocs } from '../infra/http/index.ts'
import { systemIds } from '../infra/ids.ts'
import { createVerdicts } from '../infra/safety/verdicts.ts'
import { commands } from '../schemas/commands.ts'
import { registerCommandApi } from './app.ts'
import { createDispatcher } from './dispatch.ts'

type Json = { [key: string]: unknown }
const log = pino({ level: 'silent' })
const http = await createHttpServer({ log, authenticate: () => undefined, ready: () => [] })
// Nothing here is ever asked: describing needs routes, not connections.
const store = connectEventStore('esdb://127.0.0.1:1?tls=false')
const catalogue = {
  live: false,
  current: async () => {},
  select: () => [],
  target: () => undefined,
  credential: () => undefined,
  credentialVersion: () => undefined,
  credentialWriters: () => [],
  stop: async () => {},
}
const access = { state: createAccessState(), live: false, note: () => {}, stop: async () => {} }
const activeRuns = { live: false, current: async () => {}, matching: () => [], stop: async () => {} }
const vault = { seal: () => Promise.reject(new Error('not asked')) }
const signIn = { ask: () => Promise.reject(new Error('not asked')) }
const refusals = { record: async () => {}, flush: async () => {} }
registerCommandApi(http, {
  store,
  dispatcher: createDispatcher({ store }),
  catalogue,
  access,
  activeRuns,
  vault,
  signIn,
  clock: systemClock,
  ids: systemIds,
  log,
  refusals,
  verdicts: createVerdicts(),
})
registerDocs(http)
t.teardown(() => http.close())
const answer = await http.inject('/v1/openapi.json')
const api = answer.json()

/** Every object in the description, with the path that leads to it. */
function* objects(value: unknown, path = ''): Generator<[string, Json]> {
  if (typeof value !== 'object' || value === null) return
  yield [path, value as Json]
  for (const [key, member] of Object.entries(value)) yield* objects(member, `${path}/${key}`)
}

t.test('the description is public and says OpenAPI 3.1', async t => {
  t.equal(answer.statusCode, 200)
  t.equal(api.openapi, '3.1.0')
  t.same(Object.keys(api.components.securitySchemes), ['bearer', 'apiKey'])
})

t.test('every command is described, with an example and its problems', async t => {
  for (const [name, { summary, permission, example }] of Object.entries(commands)) {
    const operation = api.paths[`/v1/commands/${name}`].post
    t.match(operation, { operationId: name, summary, 'x-permission': permission }, name)
    t.same(operation.requestBody.content['application/json'].example, example)
    t.same(operation.parameters.map((p: Json) => p.name).slice(0, 2), ['Idempotency-Key', 'If-Match'])
    for (const status of ['200', '400', '401', '403', '409', '412', '413', '415', '422', '429', '500', '503'])
      t.ok(operation.responses[status], `${name} ${status}`)
    t.equal(
      Boolean(operation.responses['201']),
      /^create-(target|credential|group|user|service-account)$|^(define-job|trigger-run|rerun|define-role|grant-role|issue-api-key|define-sod-rule|activate-break-glass)$/.test(
        name,
      ),
    )
  }
  t.ok(api.paths['/v1/commands'].post.requestBody.content['application/x-ndjson'])
})

t.test('operation ids are unique, and references lead somewhere', async t => {
  const ids = Object.values(api.paths).flatMap(methods =>
    Object.values(methods as Json).map(o => (o as Json).operationId),
  )
  t.equal(new Set(ids).size, ids.length)
  for (const [path, { $ref }] of objects(api)) {
    if (typeof $ref !== 'string') continue
    const found = $ref
      .slice(2)
      .split('/')
      .reduce<unknown>((at, key) => (at as Json)?.[key], api)
    t.ok(found, `${path}: ${$ref}`)
  }
})

t.test('every schema is JSON Schema, and every example fits its own', async t => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'https://api.invalid/', components: api.components })
  const resolved = (schema: unknown) =>
    JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"https://api.invalid/#/components'))
  let examples = 0
  for (const [path, { schema, example, examples: several }] of objects(api)) {
    if (typeof schema !== 'object' || schema === null) continue
    const validate = ajv.compile(resolved(schema))
    const named = Object.values((several ?? {}) as Record<string, Json>).map(each => each.value)
    for (const value of [...(example === undefined ? [] : [example]), ...named]) {
      examples += 1
      t.ok(validate(value), `${path}: ${ajv.errorsText(validate.errors)}`)
    }
  }
  t.ok(examples > 100)
})

t.test('the examples are accepted by the server itself', async t => {
  for (const [name, { schema, example, idField }] of Object.entries(commands)) {
    t.ok(schema.safeParse(example).success, name)
    t.notOk(schema.safeParse({ ...example, [idField]: 'No Id' }).success, `${name} with a wrong id`)
    t.notOk(schema.safeParse({ ...example, surprise: 1 }).success, `${name} with a surprise`)
  }
})

t.test('the page works under its own content security policy', async t => {
  const page = await http.inject('/docs')
  t.match(page.headers['content-type'], /^text\/html/)
  t.match(page.headers['content-security-policy'], /default-src 'self'/)
  t.notMatch(page.headers['content-security-policy'], /upgrade-insecure|unsafe-eval|script-src[^;]*unsafe/)
  t.notMatch(page.body, /<script>|<script [^>]*>[^<]|https?:/)
  const links = [...page.body.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(match => match[1] ?? '')
  t.equal(links.length, 3)
  for (const link of links) {
    const file = await http.inject(link)
    t.equal(file.statusCode, 200, link)
    t.match(file.headers['content-type'], link.endsWith('.css') ? /^text\/css/ : /^text\/javascript/)
  }
  t.match((await http.inject('/docs/start.js')).body, /\/v1\/openapi\.json/)
})
