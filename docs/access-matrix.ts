import { pino } from 'pino'
import { registerCommandSide } from '../command-api/main.ts'
import { appliesTo, everything } from '../infra/access.ts'
import { type Authenticate, createHttpServer, type HttpServer } from '../infra/http/index.ts'
import { registerQueryApi } from '../query-api/app.ts'
import type { Scope } from '../schemas/access.ts'
import { builtInRoles, ofEverybody, permissions } from '../schemas/permissions.ts'

export type MatrixRoute = { method: string; url: string; permission: string | undefined; isPublic: boolean }
type RoleName = keyof typeof builtInRoles
// The keys of an object that is written out.
export const roleNames = Object.keys(builtInRoles) as RoleName[]

const id = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
/** A scope of each kind that a grant can have. */
export const scopes: ReadonlyArray<readonly [mark: string, scope: Scope]> = [
  ['E', everything],
  ['L', { kind: 'labels', labels: 'env=prod' }],
  ...(['target', 'credential', 'job', 'run', 'executor'] as const).map(
    kind => [kind[0] ?? '', { kind: 'resource', resource: { kind, id } }] as const,
  ),
]

/** A server with every route of both APIs, and what was declared of each. */
export async function servedRoutes(authenticate: Authenticate): Promise<{ http: HttpServer; routes: MatrixRoute[] }> {
  const http = await createHttpServer({
    ...{ log: pino({ level: 'silent' }), authenticate, ready: () => [] },
    // Everything is asked at once.
    edge: { rateLimit: 0, addressRateLimit: 0 },
  })
  const routes: MatrixRoute[] = []
  http.addHook('onRoute', ({ method, url, config }) => {
    const { permission, public: open } = config ?? {}
    const methods = [method].flat().filter(name => name !== 'HEAD')
    for (const each of methods) routes.push({ method: each, url, permission, isPublic: open === true })
  })
  // No request comes further than the check of permissions: nothing of what the routes would use is ever asked.
  http.addHook('preParsing', (_request, reply) => void reply.code(204).send())
  registerCommandSide(http, { deps: unasked, signingIn: unasked, upload: unasked })
  registerQueryApi(http, unasked)
  return { http, routes }
}

/** Stands for every connection: registering a route needs none. */
const unasked = new Proxy(() => undefined, {
  get: (_target, name) => (name === 'then' ? undefined : unasked),
  apply: () => unasked,
  // It has to pass for whatever is wanted; the routes of the real servers are what counts here.
}) as never

/** Whether a role that is granted on this scope gets past the door of the route. */
export function isLetIn(role: RoleName, scope: Scope, { permission, isPublic }: MatrixRoute): boolean {
  if (isPublic || (permission !== undefined && ofEverybody.has(permission))) return true
  const held: readonly string[] = builtInRoles[role].permissions
  return permission !== undefined && held.includes(permission) && appliesTo(permission, scope)
}

/** docs/access-matrix.md */
export async function accessMatrixPage(): Promise<string> {
  const { http, routes } = await servedRoutes(() => undefined)
  await http.close()
  const sorted = routes.toSorted((a, b) => (`${a.url} ${a.method}` < `${b.url} ${b.method}` ? -1 : 1))
  const cell = (role: RoleName, route: MatrixRoute) =>
    scopes.filter(([, scope]) => isLetIn(role, scope, route)).map(([mark]) => mark)
  const row = (route: MatrixRoute) => {
    const cells = roleNames.map(role => cell(role, route).join('') || '–')
    return `| ${route.method} \`${route.url}\` | ${route.permission ?? 'public'} | ${cells.join(' | ')} |`
  }
  const ofRoles = roleNames.map(role => `| \`${role}\` | ${builtInRoles[role].description} |`)
  const held = (name: string) =>
    ofEverybody.has(name)
      ? 'everybody, about themselves'
      : roleNames.filter(role => (builtInRoles[role].permissions as readonly string[]).includes(name)).join(', ')
  const ofPermissions = Object.entries(permissions).map(([name, what]) => `| \`${name}\` | ${what} | ${held(name)} |`)
  return `${[
    '# Access matrix',
    'Generated from the routes, the roles and the permissions by `npm run docs`; do not edit. How it is meant: [security.md](security.md).',
    '## Roles\n\n| role | |',
  ].join('\n\n')}
|---|---|
${ofRoles.join('\n')}

## Permissions

| permission | | built-in roles that have it |
|---|---|---|
${ofPermissions.join('\n')}

## Routes
Who is let in by which grant: \`E\` on everything, \`L\` on targets by their tags, on one \`t\`arget, \`c\`redential, \`j\`ob,
\`r\`un or \`e\`xecutor. Let in is not yet allowed: the command is judged on what it is about, and of a list only that is
shown which the grants hold. A route for which there is no permission is public.

| route | permission | ${roleNames.join(' | ')} |
|---|---|${roleNames.map(() => '---|').join('')}
${sorted.map(row).join('\n')}
`
}
