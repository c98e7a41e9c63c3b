import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type OpenApiInfo, openApi } from './openapi.ts'
import { describedRoutes } from './route-table.ts'

const require = createRequire(import.meta.url)

const assets = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
} as const

/** No inline script: the content security policy refuses it. */
const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>OpsConductor API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`
const start = `SwaggerUIBundle({ url: '/v1/openapi.json', dom_id: '#api', deepLinking: true, tryItOutEnabled: true, persistAuthorization: false })
`

/** What the API says about itself. */
const apiInfo: OpenApiInfo = {
  title: 'OpsConductor API',
  version: 'v1',
  description:
    'Commands change things and answer with a position of the log; queries read, and take that position as `minPosition`. ' +
    'Errors are problem details (RFC 9457).',
}

/**
 * GET /v1/openapi.json, from the routes that describe themselves, and a page to read and try them at GET /docs. Call it
 * when every route is registered.
 */
export function registerDocs(app: FastifyInstance): void {
  const description = JSON.stringify(openApi(apiInfo, describedRoutes(app)))
  const config = { public: true, quiet: true } as const
  const serve = (url: string, type: string, body: () => string | Promise<Buffer>) =>
    app.get(url, { config }, async (_request, reply) => cached(reply, type).send(await body()))
  serve('/v1/openapi.json', 'application/json; charset=utf-8', () => description)
  serve('/docs', 'text/html; charset=utf-8', () => page)
  serve('/docs/start.js', 'text/javascript; charset=utf-8', () => start)
  const folder = join(dirname(require.resolve('@fastify/swagger-ui')), 'static')
  for (const [file, type] of Object.entries(assets)) {
    // One copy, however many ask for it and do not read it.
    let bytes: Promise<Buffer> | undefined
    serve(`/docs/${file}`, type, () => {
      bytes ??= readFile(join(folder, file))
      return bytes
    })
  }
}

const cached = (reply: FastifyReply, type: string): FastifyReply =>
  reply.header('content-type', type).header('cache-control', 'public, max-age=300')
