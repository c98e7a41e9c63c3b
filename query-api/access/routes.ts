import { z } from 'zod'
import {
  type AccessState,
  appliesTo,
  copyOf,
  explain,
  judge,
  lacking,
  liesWithin,
  permissionsOf,
  putVersion,
  type Resource,
  scopesOf,
  scopeText,
  whoCan,
} from '../../infra/access.ts'
import { type Holder, type HttpServer, ProblemError } from '../../infra/http/index.ts'
import { type PrincipalRef, principal, roleName, type Scope } from '../../schemas/access.ts'
import { instant } from '../../schemas/kernel.ts'
import { isBuiltInRole } from '../../schemas/permissions.ts'
import { asOf } from '../as-of.ts'
import { Conditions } from '../paging.ts'
import type { Query, Reader } from '../reader.ts'
import { registerRead } from '../route.ts'
import { ofVersions, onlyPermitted, permittedRows } from './permitted.ts'
import {
  mustBeSelfOrAllowed,
  permissionParameter,
  principalOf,
  principalParameter,
  resourceOf,
  resourceParameter,
  scopeParameter,
} from './questions.ts'
import { type AccessView, accessStateAt, timeOf } from './view.ts'

export type AccessRouteParts = { http: HttpServer; reader: Reader; access: AccessView; now: () => string }
const MOST = 1_000

/** Who may do what and why, now or as of a moment; and what a grant would change. */
export function registerAccess(parts: AccessRouteParts): void {
  registerExplain(parts)
  registerWhoCan(parts)
  registerSimulate(parts)
}

async function at(parts: AccessRouteParts, db: Query, when: string | undefined) {
  if (when === undefined) return { state: parts.access.state, now: Date.parse(parts.now()) }
  return { state: await accessStateAt(db, when), now: await timeOf(db, when) }
}

const why = z.enum([
  ...(['granted', 'everybody', 'administrator-key'] as const),
  ...(['inactive', 'not-granted', 'out-of-scope', 'expired', 'outside-key'] as const),
])
const grantPart = { grantId: z.string(), role: z.string(), via: z.string().nullable().describe('The group it came by') }
const considered = z.object({
  ...grantPart,
  scope: z.string(),
  until: instant.nullable(),
  verdict: z.enum(['permits', 'out-of-scope', 'expired', 'outside-key']),
})

function registerExplain(parts: AccessRouteParts): void {
  registerRead(parts.http, parts.reader, {
    url: '/v1/access/explain',
    operationId: 'explain-access',
    tag: 'access',
    summary: 'Why somebody may do something, or may not',
    description: 'About oneself everybody may ask; about others with access:read.',
    permission: 'self:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({
      permission: permissionParameter,
      resource: resourceParameter.optional(),
      principal: principalParameter.optional().describe('Default: whoever asks'),
      asOf,
    }),
    answer: {
      description: 'The judgement, and each grant of the permission with what came of it',
      schema: z.object({
        ...{ allowed: z.boolean(), why, grantId: z.string().nullable(), considered: z.array(considered) },
        narrowedTo: z.array(z.string()).nullable().describe('What an API key is narrowed to'),
      }),
    },
    async handle({ query, db, holder }) {
      mustBeSelfOrAllowed(holder, query.principal)
      const { state, now } = await at(parts, db, query.asOf)
      const resource = await resourceOf(db, query.resource, query.asOf)
      const who = query.principal ?? principalOf(holder)
      if (!who) return { body: ofKeyFile(holder, query.permission, resource) }
      const { judgement, ...rest } = explain(state, who, query.permission, resource, now)
      const grantId = judgement.why === 'granted' ? judgement.grantId : null
      return { body: { allowed: judgement.allowed, why: judgement.why, grantId, ...rest } }
    },
  })
}

/** A key of the key file is not in the log: it may do everything. */
function ofKeyFile(holder: Holder, permission: string, resource: Resource | undefined) {
  const allowed = resource === undefined ? holder.permits(permission) : holder.permitsOn(permission, resource)
  return { allowed, why: allowed ? 'administrator-key' : 'inactive', grantId: null, considered: [], narrowedTo: null }
}

function registerWhoCan(parts: AccessRouteParts): void {
  const breakGlass = z
    .enum(['active', 'possible'])
    .nullable()
    .describe('active: only by having broken the glass; possible: not now, but by breaking it, which the grant allows')
  const item = z.object({ principal, ...grantPart, until: instant.nullable(), breakGlass })
  registerRead(parts.http, parts.reader, {
    url: '/v1/access/who-can',
    operationId: 'who-can',
    tag: 'access',
    summary: 'Everybody who may do something, and by which grant',
    description: 'Beside them, whoever has a key of the key file.',
    permission: 'access:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({ permission: permissionParameter, resource: resourceParameter.optional(), asOf }),
    answer: { description: 'Who', schema: z.object({ items: z.array(item), more: z.int() }) },
    async handle({ query, db }) {
      const { state, now } = await at(parts, db, query.asOf)
      const found = whoCan(state, query.permission, await resourceOf(db, query.resource, query.asOf), now)
      const items = found.slice(0, MOST).map(({ principal, by, breakGlass }) => {
        const { grantId, role, via = null, until = null } = by
        return { principal, grantId, role, via, until, breakGlass }
      })
      return { body: { items, more: found.length - items.length } }
    },
  })
}

function registerSimulate(parts: AccessRouteParts): void {
  const before = z.object({ before: z.boolean(), after: z.boolean() })
  registerRead(parts.http, parts.reader, {
    url: '/v1/access/simulate',
    operationId: 'simulate-grant',
    tag: 'access',
    summary: 'What a grant would change, without granting it',
    permission: 'access:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({
      principal: principalParameter,
      role: roleName,
      scope: scopeParameter,
      expiresAt: instant.optional(),
      permission: permissionParameter.optional().describe('With resource: whether this would be allowed then'),
      resource: resourceParameter.optional(),
    }),
    answer: {
      description: 'What it would add',
      schema: z.object({
        gains: z.array(z.string()).describe('Permissions they do not hold there yet'),
        has: z.array(z.string()).describe('Permissions of the role that they hold there already'),
        means: z.string(),
        targets: z
          .int()
          .nullable()
          .describe('Targets it is about now, of those one may see; null where it is about none'),
        people: z.int().describe('How many get it'),
        mayGrant: z.boolean().describe('Whether whoever asks may grant it'),
        lacking: z.string().nullable().describe('What they do not hold themselves'),
        judgement: before.nullable(),
      }),
    },
    problems: ['role-not-found'],
    async handle({ query, db, holder }) {
      const { state, now } = await at(parts, db, undefined)
      const permissions = permissionsOf(state, query.role).filter(each => appliesTo(each, query.scope))
      if (!isBuiltInRole(query.role) && !state.rows.role.has(query.role)) throw new ProblemError('role-not-found')
      const until = query.expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(query.expiresAt)
      const holds = (permission: string) =>
        scopesOf(state, query.principal, permission, now, until).some(held => liesWithin(query.scope, held))
      const missing = holder.permits('grant:write')
        ? lacking(holder, { permissions, scope: query.scope, until })
        : 'grant:write'
      const resource = await resourceOf(db, query.resource, undefined)
      return {
        body: {
          gains: permissions.filter(each => !holds(each)),
          has: permissions.filter(holds),
          means: `${query.role} on ${scopeText(query.scope)}`,
          targets: await targetsIn(db, holder, query.scope),
          people: peopleOf(state, query.principal),
          mayGrant: missing === undefined,
          lacking: missing ?? null,
          judgement: query.permission === undefined ? null : judged(state, query, resource, now),
        },
      }
    },
  })
}

type Proposed = {
  principal: PrincipalRef
  role: string
  scope: Scope
  expiresAt?: string | undefined
  permission?: string | undefined
}

function judged(state: AccessState, proposed: Proposed, resource: Resource | undefined, now: number) {
  const { principal, role, scope, expiresAt = null, permission = '' } = proposed
  const tried = copyOf(state)
  const id = 'proposed'
  const row = { grantId: id, name: role, principal, role, scope, expiresAt, reason: id, status: 'active' as const }
  putVersion(tried, 'grant', { id, revision: 0n, state: row })
  const allowed = (of: AccessState) => judge(of, principal, permission, resource, now).allowed
  return { before: allowed(state), after: allowed(tried) }
}

async function targetsIn(db: Query, holder: Holder, scope: Scope): Promise<number | null> {
  if (scope.kind === 'resource' && scope.resource.kind !== 'target') return null
  const conditions = new Conditions()
  conditions.add(`kind = 'target' and visible and valid_to is null`)
  const permitted = permittedRows(conditions, [scope], ofVersions('target'))
  if (permitted !== undefined) conditions.add(permitted)
  onlyPermitted(conditions, holder, 'target:read', ofVersions('target'))
  const [row] = await db<{ n: number }>(
    `select count(*)::int as n from read_model.resource_version where ${conditions.text}`,
    conditions.values,
  )
  return row?.n ?? 0
}

function peopleOf(state: AccessState, { kind, id }: PrincipalRef): number {
  return kind === 'group' ? (state.rows.group.get(id)?.members.length ?? 0) : 1
}
