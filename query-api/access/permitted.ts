import type { HeldScope } from '../../infra/access.ts'
import type { Holder } from '../../infra/http/index.ts'
import { anyLabels } from '../labels.ts'
import type { Conditions } from '../paging.ts'

/** Columns by which rows are told apart: that of the thing itself and, where there are, of its tags and its job. */
export type Columns = { kind: string; id: string; type: 'text' | 'uuid'; hasTags?: true; jobId?: string }

/** Adds that only rows this holder may see count: those that showing each of them alone would show. */
export function onlyPermitted(
  conditions: Conditions,
  holder: Pick<Holder, 'scopes'>,
  permission: string,
  columns: Columns,
): void {
  const condition = permittedRows(conditions, holder.scopes(permission), columns)
  if (condition !== undefined) conditions.add(condition)
}

/** What holds of the rows within any of these scopes; undefined where everything is. */
export function permittedRows(
  conditions: Conditions,
  scopes: readonly HeldScope[],
  columns: Columns,
): string | undefined {
  if (scopes.some(({ kind }) => kind === 'everything')) return undefined
  const ids = new Set<string>()
  const jobIds = new Set<string>()
  const labels = scopes.flatMap(scope => (scope.kind === 'labels' && columns.hasTags ? [scope.labels] : []))
  for (const scope of scopes) {
    if (scope.kind !== 'resource') continue
    const { kind, id } = scope.resource
    if (kind === columns.kind) ids.add(id)
    if (kind === 'job') jobIds.add(id)
  }
  const all = [
    ...anyLabels(conditions, labels),
    ...narrowedRows(conditions, scopes, columns),
    ...among(conditions, columns.type, columns.id, ids),
  ]
  if (columns.jobId !== undefined) all.push(...among(conditions, 'uuid', columns.jobId, jobIds))
  return all.length === 0 ? 'false' : all.map(one => `(${one})`).join(' or ')
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function among(conditions: Conditions, type: Columns['type'], column: string, ids: ReadonlySet<string>): string[] {
  // A grant may name what no such column can hold.
  const values = [...ids].filter(id => type === 'text' || UUID.test(id))
  return values.length === 0 ? [] : [`${column} = any(${conditions.parameter(values)}::${type}[])`]
}

/**
 * Of a key narrowed to x and y whose owner has grants on a and b: `(a or b) and (x or y)` rather than all four pairs, of
 * which there could be a thousand.
 */
function narrowedRows(conditions: Conditions, scopes: readonly HeldScope[], columns: Columns): string[] {
  const byGrant = new Map<string, { grant: HeldScope; within: HeldScope[] }>()
  for (const scope of scopes) {
    if (scope.kind !== 'all-of') continue
    const [grant, ...rest] = scope.of
    if (grant === undefined) continue
    const known = byGrant.get(JSON.stringify(grant)) ?? { grant, within: [] }
    known.within.push(rest.length === 1 && rest[0] ? rest[0] : { kind: 'all-of', of: rest })
    byGrant.set(JSON.stringify(grant), known)
  }
  const groups = new Map<string, { grants: HeldScope[]; within: HeldScope[] }>()
  for (const { grant, within } of byGrant.values()) {
    const group = groups.get(JSON.stringify(within)) ?? { grants: [], within }
    group.grants.push(grant)
    groups.set(JSON.stringify(within), group)
  }
  const text = (some: readonly HeldScope[]) => `(${permittedRows(conditions, some, columns) ?? 'true'})`
  return [...groups.values()].map(({ grants, within }) => `${text(grants)} and ${text(within)}`)
}

/** Runs and all that belongs to them, by the columns of read_model.run or of what is joined to it. */
export const ofRuns: Columns = { kind: 'run', id: 'run_id', type: 'uuid', jobId: 'job_id' }
/** What has versions, by the columns of read_model.resource_version. */
export const ofVersions = (kind: string): Columns => ({
  ...{ kind, id: 'id', type: 'text' },
  ...(kind === 'target' && { hasTags: true }),
})
