import type { HeldScope } from '../../infra/access.ts'
import type { Holder } from '../../infra/http/index.ts'
import { labelConditions } from '../labels.ts'
import type { Conditions } from '../paging.ts'
import { ofRuns, permittedRows } from './permitted.ts'
import { onlyRecordsOfOwnCredentials } from './personal.ts'

/** What things are called in audit records, where it is not what grants call them. */
const types: Readonly<Record<string, string>> = { 'service-account': 'serviceaccount', 'api-key': 'apikey' }

/**
 * Adds that only records this holder may see count: those about what their grants hold. What happened in a run belongs
 * to its job, and what is on record of a target goes by the tags it has now.
 */
export function onlyPermittedRecords(conditions: Conditions, holder: Holder): void {
  onlyRecordsOfOwnCredentials(conditions, holder)
  const scopes = holder.scopes('audit:read')
  if (scopes.some(({ kind }) => kind === 'everything')) return
  const parts = scopes.map(scope => `(${recordsOf(conditions, scope)})`)
  conditions.add(parts.length === 0 ? 'false' : parts.join(' or '))
}

function recordsOf(conditions: Conditions, scope: HeldScope): string {
  switch (scope.kind) {
    case 'everything':
      return 'true'
    case 'labels':
      return `resource_type = 'target' and resource_id in (select id from read_model.resource_version
        where kind = 'target' and valid_to is null and ${labelConditions(conditions, scope.labels).join(' and ')})`
    case 'resource': {
      const { kind, id } = scope.resource
      const own = `resource_type = ${conditions.parameter(types[kind] ?? kind)} and resource_id = ${conditions.parameter(id)}`
      if (kind !== 'run' && kind !== 'job') return own
      const runs = permittedRows(conditions, [scope], ofRuns) ?? 'true'
      return `${own} or run_id in (select run_id from read_model.run where ${runs})`
    }
    case 'all-of':
      return scope.of.map(part => `(${recordsOf(conditions, part)})`).join(' and ')
  }
}
