import { parseLabelExpression } from '../schemas/label-expression.ts'
import type { Conditions } from './paging.ts'

const TAGS = `state->'tags'`

/** Tags as they are in the column `labels`, which an index answers for. */
const labelsIn = ({ key, values }: { key: string; values: readonly string[] }) => values.map(value => `${key}=${value}`)
const hasAnyOf = (conditions: Conditions, labels: readonly string[]) =>
  `labels && ${conditions.parameter(labels)}::text[]`

/** The requirements of a label expression, as conditions on the tags of a target. See matchesLabels. */
export function matchLabels(conditions: Conditions, expression: string): void {
  for (const condition of labelConditions(conditions, expression)) conditions.add(condition)
}

/** The same one by one, their values among the parameters. */
export function labelConditions(conditions: Conditions, expression: string): string[] {
  return (parseLabelExpression(expression) ?? []).flatMap(requirement => {
    const key = () => `${conditions.parameter(requirement.key)}::text`
    switch (requirement.op) {
      case 'in':
        return [hasAnyOf(conditions, labelsIn(requirement))]
      case 'not-in':
        return [`coalesce(${TAGS} ->> ${key()} <> all(${conditions.parameter(requirement.values)}::text[]), true)`]
      case 'exists':
        return [`jsonb_exists(${TAGS}, ${key()})`]
      case 'absent':
        return [`not jsonb_exists(${TAGS}, ${key()})`]
    }
  })
}

/** Targets that match one of these or more: those that ask for one tag, which are most, in one look. */
export function anyLabels(conditions: Conditions, expressions: readonly string[]): string[] {
  const single = new Set<string>()
  const others = new Set<string>()
  for (const expression of expressions) {
    const [first, ...more] = parseLabelExpression(expression) ?? []
    if (first?.op === 'in' && more.length === 0) for (const label of labelsIn(first)) single.add(label)
    else others.add(expression)
  }
  const each = [...others].map(expression => labelConditions(conditions, expression).join(' and '))
  return single.size === 0 ? each : [hasAnyOf(conditions, [...single]), ...each]
}
