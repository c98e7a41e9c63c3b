import type { HeldScope } from '../../infra/access.ts'
import type { Holder } from '../../infra/http/index.ts'
import { anyLabels, labelConditions } from '../labels.ts'
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
  const others = scopes.flatMap(scope => {
    if (scope.kind === 'labels') return []
    if (scope.kind !== 'resource') return [conditionOf(conditions, scope, columns)]
    const { kind, id } = scope.resource
    if (kind === columns.kind) ids.add(id)
    if (kind === 'job') jobIds.add(id)
    return []
  })
  const all = [...anyLabels(conditions, labels), ...others, ...among(conditions, columns.type, columns.id, ids)]
  if (columns.jobId !== undefined) all.push(...among(conditions, 'uuid', columns.jobId, jobIds))
  return all.length === 0 ? 'false' : all.map(one => `(${one})`).join(' or ')
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function among(conditions: Conditions, type: Columns['type'], column: string, ids: ReadonlySet<string>): string[] {
  // A grant may name what no such column can hold.
  const values = [...ids].filter(id => type === 'text' || UUID.test(id))
  return values.length === 0 ? [] : [`${column} = any(${conditions.parameter(values)}::${type}[])`]
}

function conditionOf(conditions: Conditions, scope: HeldScope, columns: Columns): string {
  switch (scope.kind) {
    case 'everything':
      return 'true'
    case 'labels':
      return columns.hasTags ? labelConditions(conditions, scope.labels).join(' and ') : 'false'
    case 'resource':
      return permittedRows(conditions, [scope], columns) ?? 'true'
    case 'all-of':
      return scope.of.map(part => `(${conditionOf(conditions, part, columns)})`).join(' and ')
  }
}

/** Runs and all that belongs to them, by the columns of read_model.run or of what is joined to it. */
export const ofRuns: Columns = { kind: 'run', id: 'run_id', type: 'uuid', jobId: 'job_id' }
/** What has versions, by the columns of read_model.resource_version. */
export const ofVersions = (kind: string): Columns => ({
  ...{ kind, id: 'id', type: 'text' },
  ...(kind === 'target' && { hasTags: true }),
})
