import t from 'tap'
import type { z } from 'zod'
import { describedRoutes } from '../infra/http/index.ts'
import { ids } from '../test/support/made-up-log.ts'
import { serveQueries } from '../test/support/query-api.ts'
import { freshReadModel } from '../test/support/read-model.ts'
import { variedHistory } from '../test/support/varied-log.ts'

/** Nothing here is worth waiting for. */
const headers = { authorization: 'Bearer reader', prefer: 'wait=0' }

/** Each would change, read or delay something if it became a part of a statement. */
const injections = [
  ...["'", '"', "' or '1'='1", "'; drop table read_model.resource_version; --", "') or true--", '" or ""="'],
  ...[
    "' union select null, version(), null --",
    '1; select pg_sleep(9)',
    "'||pg_sleep(9)||'",
    '$$; select pg_sleep(9); $$',
  ],
  ...[
    "\\'; drop schema read_model cascade; --",
    "%' and 1=0 union select 1--",
    '\u02bc or 1=1',
    '$1',
    '?',
    ':id',
    '{"$ne":null}',
  ],
  ...[
    '$.*',
    "'::jsonb",
    'state->>password',
    'name desc, (select pg_sleep(9))',
    '-name;',
    '\u0000',
    '%00',
    '\ud800',
    '../../etc/passwd',
  ],
  ...[
    '9223372036854775808',
    '-1',
    '1e9',
    'NaN',
    '0x1',
    '@1; drop table x',
    'a=b,c in (d);--',
    'env in (\u0027)',
    '*',
    '(((((',
    'a'.repeat(3_000),
  ],
]

const model = await freshReadModel(t)
const { http, pool } = await serveQueries(t, model.url)
await model.project(variedHistory(200).events)
const reads = describedRoutes(http).filter(({ method, operation }) => method === 'GET' && !isLive(operation.answers))

function isLive(answers: Record<number, { contentType?: string | undefined }>): boolean {
  return answers[200]?.contentType === 'text/event-stream'
}

const filled = (url: string) =>
  url.replace(/:(\w+)/g, (_, name) => {
    const known: Record<string, string> = { n: '0', version: '1', position: '7', sha256: 'a'.repeat(64), step: 'first' }
    return known[name] ?? ids.run(0)
  })
const namesOf = (schema: z.ZodObject | undefined) => Object.keys(schema?.shape ?? {})

async function fingerprint(): Promise<unknown> {
  const { rows } = await pool.query(
    `select (select count(*) from read_model.resource_version) as versions, (select count(*) from read_model.audit) as audit,
      (select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')) as tables`,
  )
  return rows
}

t.test('no text in a query or a path becomes a part of a statement', { timeout: 120_000 }, async t => {
  const before = await fingerprint()
  let asked = 0
  for (const { url, operation } of reads) {
    const inQuery = namesOf(operation.query).map(name => (text: string) => `${filled(url)}?${name}=${encoded(text)}`)
    const inPath = namesOf(operation.params).map(name => (text: string) => {
      return filled(url.replace(`:${name}`, encoded(text).replaceAll('.', '%2e') || '-'))
    })
    for (const at of [...inQuery, ...inPath]) {
      const answers = await Promise.all(injections.map(async text => ({ text, ...(await ask(at(text))) })))
      asked += answers.length
      const bad = answers.filter(({ status, ms }) => !harmless.has(status) || ms > 5_000)
      t.same(bad, [], `${url}, by ${at('…')}`)
    }
  }
  t.ok(asked > 3_000, `${asked} requests`)
  t.same(await fingerprint(), before)
})

/** Forbidden is what only somebody who signed in may ask. */
const harmless: ReadonlySet<number> = new Set([200, 202, 400, 403, 404, 416])
const encoded = (text: string) => encodeURIComponent(text.replace(/\p{Cs}/gu, '\ufffd'))

async function ask(url: string): Promise<{ status: number; ms: number }> {
  const began = performance.now()
  const { statusCode, body } = await http.inject({ url, headers })
  if (/syntax error|pg_|postgres|\brelation\b/i.test(body)) throw new Error(`${url} tells of the database: ${body}`)
  return { status: statusCode, ms: performance.now() - began }
}

t.test('filters and orders are those that are offered, and no operators', async t => {
  const odd = [
    'name[$ne]=x',
    'name[$regex]=.*',
    '$where=1',
    'filter[name]=x',
    'name.length=1',
    '__proto__=x',
    'where=true',
  ]
  const secret = [
    'sort=secret',
    'sort=-publicKey',
    'sort=state',
    'secret=a',
    'privateKey=a',
    'sealId=a',
    'fields=*',
    'include=secret',
  ]
  for (const { url } of reads) {
    for (const query of [...odd, ...secret]) {
      const { statusCode } = await http.inject({ url: `${filled(url)}?${query}`, headers })
      t.ok(statusCode === 400 || (statusCode === 404 && url.includes(':')), `${url}?${query}: ${statusCode}`)
    }
  }
})

t.test('a cursor that was made up is none', async t => {
  const cursor = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const made = [
    ...[
      cursor(['name', 'a\u0000', ids.target(0)]),
      cursor(['name']),
      cursor({}),
      cursor(null),
      cursor(['-position', '1', { a: 1 }]),
    ],
    ...[cursor(['-position', '1;drop', '1']), cursor([['name']]), cursor([...Array(500).fill('x')]), 'a', '____'],
  ]
  for (const url of ['/v1/targets', '/v1/audit', '/v1/runs', '/v1/jobs']) {
    for (const text of made) {
      const { statusCode } = await http.inject({ url: `${url}?cursor=${text}`, headers })
      t.equal(statusCode, 400, `${url} ${text.slice(0, 40)}`)
    }
  }
  const quoting = await http.inject({ url: `/v1/targets?cursor=${cursor(['name', "~' or true --", 'zz'])}`, headers })
  t.match(quoting.json(), { items: [], next: null }, 'one that fits is a place in the order, whatever it quotes')
})
