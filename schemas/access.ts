import { z } from 'zod'
import { id, line } from './kernel.ts'
import { labelExpression } from './label-expression.ts'

/** What a single thing is called by in a grant: a UUID, or a name as executors and roles have. */
export const resourceId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a UUID or a name')
export const resourceKind = z.enum([
  'target',
  'credential',
  'job',
  'run',
  'executor',
  'role',
  'group',
  'grant',
  'user',
  'service-account',
  'api-key',
])
export type ResourceKind = z.output<typeof resourceKind>
export const resourceRef = z.strictObject({ kind: resourceKind, id: resourceId })
export type ResourceRef = z.output<typeof resourceRef>

/** Where a grant holds: everywhere, on the targets with these tags, or on one thing; a run belongs to its job. */
export const scope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('everything') }),
  z.strictObject({ kind: z.literal('labels'), labels: labelExpression }),
  z.strictObject({ kind: z.literal('resource'), resource: resourceRef }),
])
export type Scope = z.output<typeof scope>

export const principalKind = z.enum(['user', 'service-account', 'group', 'api-key'])
/** Whom a role can be granted to. */
export const principal = z.strictObject({ kind: principalKind, id })
export type PrincipalRef = z.output<typeof principal>
/** Who can be in a group. */
export const member = z.strictObject({ kind: z.enum(['user', 'service-account']), id })
export type Member = z.output<typeof member>

export const roleName = z.string().regex(/^[a-z][a-z0-9-]{1,39}$/, 'lower-case letters, digits and -')
export const description = line(500)
