import { readFileSync } from 'node:fs'
import t from 'tap'
import { createAccessState, holderOf, putVersion } from '../infra/access.ts'
import { systemClock } from '../infra/clock.ts'
import { filterCommands } from '../schemas/commands.ts'
import { isPermission } from '../schemas/permissions.ts'
import { accessMatrixPage, isLetIn, roleNames, scopes, servedRoutes } from './access-matrix.ts'

const root = new URL('../../', import.meta.url)

t.test('the matrix of roles, routes and scopes is current: npm run docs', async t => {
  t.equal(readFileSync(new URL('docs/access-matrix.md', root), 'utf8'), await accessMatrixPage())
})

t.test('every route is public or declares a permission there is', async t => {
  const { http, routes } = await servedRoutes(() => undefined)
  await http.close()
  t.ok(routes.length > 100)
  for (const { method, url, permission, isPublic } of routes)
    t.ok(isPublic ? permission === undefined : permission !== undefined && isPermission(permission), `${method} ${url}`)
  for (const { permission } of Object.values(filterCommands)) t.ok(isPermission(permission), permission)
})

t.test('the door of every route lets in whom the matrix says, and nobody else', async t => {
  const userId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
  const who = { kind: 'user', id: userId } as const
  let state = createAccessState()
  const holder = holderOf({ state: () => state, who, actor: who, clock: systemClock })
  const { http, routes } = await servedRoutes(key => (key === 'key' ? holder : undefined))
  t.teardown(() => http.close())
  const ask = async (method: string, url: string, headers: Record<string, string>) =>
    // A method of a route is one that can be asked by.
    (await http.inject({ method: method as 'GET', url: url.replace(/:[A-Za-z0-9]+/g, 'x'), headers })).statusCode
  for (const role of roleNames)
    for (const [mark, scope] of scopes) {
      state = createAccessState()
      const row = { grantId: userId, name: role, principal: who, role, scope, expiresAt: null, reason: 'spec' }
      putVersion(state, 'grant', { id: userId, revision: 0n, state: { ...row, status: 'active' } })
      const wrong: string[] = []
      for (const route of routes) {
        const status = await ask(route.method, route.url, { authorization: 'Bearer key' })
        if ((status !== 403) !== isLetIn(role, scope, route)) wrong.push(`${route.method} ${route.url} ${status}`)
      }
      t.same(wrong, [], `${role} ${mark}`)
    }
  for (const { method, url, isPublic } of routes)
    t.equal((await ask(method, url, {})) === 401, !isPublic, `${method} ${url} without a key`)
})
