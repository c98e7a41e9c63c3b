import { z } from 'zod'
import type { Resource } from '../../infra/access.ts'
import { type Holder, ProblemError } from '../../infra/http/index.ts'
import { type PrincipalRef, principal, type ResourceRef, resourceRef, type Scope, scope } from '../../schemas/access.ts'
import { permissionNames } from '../../schemas/permissions.ts'
import type { Query } from '../reader.ts'
import { versionAt } from '../resources.ts'

/** `kind:id` as one parameter. */
const pair = <T extends z.ZodType>(schema: T, example: string) =>
  z
    .string()
    .max(120)
    .transform((text, context) => {
      const [kind, id] = split(text)
      const parsed = schema.safeParse({ kind, id })
      if (parsed.success) return parsed.data
      context.addIssue({ code: 'custom', message: `such as ${example}` })
      return z.NEVER
    })

function split(text: string): [string, string] {
  const at = text.indexOf(':')
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

const id = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
export const principalParameter = pair(principal, `user:${id}`).describe(
  'user, service-account, group or api-key: and its id',
)
export const resourceParameter = pair(resourceRef, `job:${id}`).describe('What it is about, such as target:<id>')
// The members of a list that is not empty.
export const permissionParameter = z.enum(permissionNames as unknown as [string, ...string[]])
export const scopeParameter = z
  .string()
  .max(1_100)
  .transform((text, context): Scope => {
    const [kind, rest] = split(text)
    const asked =
      kind === 'everything'
        ? { kind }
        : kind === 'labels'
          ? { kind, labels: rest }
          : { kind: 'resource', resource: { kind, id: rest } }
    const parsed = scope.safeParse(asked)
    if (parsed.success) return parsed.data
    context.addIssue({ code: 'custom', message: `everything, labels:env=prod, or one thing such as job:${id}` })
    return z.NEVER
  })
  .describe('everything, labels:<expression>, or one thing such as job:<id>')

/** Asks about others need a permission; about oneself everybody may ask. */
export function mustBeSelfOrAllowed(holder: Holder, who: PrincipalRef | undefined): void {
  if (who === undefined || isSelf(holder, who) || holder.permits('access:read')) return
  throw new ProblemError('forbidden', 'needs access:read to ask about others')
}

/** What an actor is called in grants. */
export function principalOf({ actor }: Holder): PrincipalRef | undefined {
  const kind = actor.kind === 'service' ? 'service-account' : actor.kind
  const parsed = principal.safeParse({ kind, id: actor.id })
  return parsed.success ? parsed.data : undefined
}

const isSelf = (holder: Holder, { kind, id }: PrincipalRef): boolean => {
  const self = principalOf(holder)
  return self?.kind === kind && self.id === id
}

/** What has to be known of it to tell what it belongs to; no more than the question says for what is not there. */
export async function resourceOf(db: Query, ref: ResourceRef | undefined, when: string | undefined) {
  if (!ref) return undefined
  const resource: Resource = { kind: ref.kind, id: ref.id }
  if (ref.kind === 'target') {
    const [row] = await versionAt(db, anybody, { kind: 'target' }, ref.id, when)
    // The state of a target, which the projection has checked.
    return { ...resource, tags: row?.state.tags as Record<string, string> | undefined }
  }
  if (ref.kind !== 'run' || !z.uuid().safeParse(ref.id).success) return resource
  const [row] = await db<{ job_id: string }>('select job_id from read_model.run where run_id = $1', [ref.id])
  return { ...resource, jobId: row?.job_id }
}

/** What the judgement itself looks at is not shown. */
const anybody: Pick<Holder, 'actor' | 'scopes'> = {
  actor: { kind: 'system', id: 'judgement' },
  scopes: () => [{ kind: 'everything' }],
}
