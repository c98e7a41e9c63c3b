import type { Holder } from '../../infra/http/index.ts'
import { selvesOf } from '../../schemas/actor.ts'
import type { Conditions } from '../paging.ts'
import { ofVersions, permittedRows } from './permitted.ts'

type Seeing = Pick<Holder, 'actor' | 'scopes'>

/** Of credentials: adds that a personal one counts for its owner and for whoever oversees it, and for nobody else. */
export function onlyOwnCredentials(conditions: Conditions, holder: Seeing): void {
  const theirs = ownOrOverseen(conditions, holder)
  if (theirs !== undefined) conditions.add(`not ${isPersonal} or ${theirs}`)
}

/** The same of records, by what the ledger itself knows of credentials: it may be ahead of the other read models. */
export function onlyRecordsOfOwnCredentials(conditions: Conditions, holder: Seeing): void {
  const theirs = ownOrOverseen(conditions, holder)
  if (theirs === undefined) return
  const hidden = `select id from read_model.audit_subject where type = 'credential' and ${isPersonal} and not ${theirs}`
  conditions.add(`resource_type <> 'credential' or resource_id not in (${hidden})`)
}

const isPersonal = `(state->'owner'->>'id' is not null)`

/** Undefined for whoever oversees all of them. */
function ownOrOverseen(conditions: Conditions, { actor, scopes }: Seeing): string | undefined {
  const overseen = permittedRows(conditions, scopes('credential:oversee'), ofVersions('credential'))
  if (overseen === undefined) return undefined
  const own = selvesOf(actor).map(({ kind, id }) => {
    const [ofKind, ofId] = [conditions.parameter(kind), conditions.parameter(id)]
    return `(state->'owner'->>'kind' = ${ofKind} and state->'owner'->>'id' = ${ofId})`
  })
  return `(${[...own, `(${overseen})`].join(' or ')})`
}
