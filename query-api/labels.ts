import { parseLabelExpression } from '../schemas/label-expression.ts'
import type { Conditions } from './paging.ts'

const TAGS = `state->'tags'`

/** The requirements of a label expression, as conditions on the tags of a target. See matchesLabels. */
export function matchLabels(conditions: Conditions, expression: string): void {
  for (const condition of labelConditions(conditions, expression)) conditions.add(condition)
}

/** The same one by one, their values among the parameters. */
export function labelConditions(conditions: Conditions, expression: string): string[] {
  return (parseLabelExpression(expression) ?? []).flatMap(requirement => {
    const key = () => `${conditions.parameter(requirement.key)}::text`
    switch (requirement.op) {
      case 'in': {
        const [only] = requirement.values
        // The one form an index on the tags can answer.
        if (requirement.values.length === 1)
          return [`${TAGS} @> ${conditions.parameter(JSON.stringify({ [requirement.key]: only }))}::jsonb`]
        return [`${TAGS} ->> ${key()} = any(${conditions.parameter(requirement.values)}::text[])`]
      }
      case 'not-in':
        return [`coalesce(${TAGS} ->> ${key()} <> all(${conditions.parameter(requirement.values)}::text[]), true)`]
      case 'exists':
        return [`jsonb_exists(${TAGS}, ${key()})`]
      case 'absent':
        return [`not jsonb_exists(${TAGS}, ${key()})`]
    }
  })
}
