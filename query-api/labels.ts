import { parseLabelExpression } from '../schemas/label-expression.ts'
import type { Conditions } from './paging.ts'

/** The requirements of a label expression, as conditions on the tags of a target. See matchesLabels. */
export function matchLabels(conditions: Conditions, expression: string): void {
  const tags = `state->'tags'`
  for (const requirement of parseLabelExpression(expression) ?? []) {
    const key = `${conditions.parameter(requirement.key)}::text`
    switch (requirement.op) {
      case 'in': {
        const [only] = requirement.values
        // The one form an index on the tags can answer.
        if (requirement.values.length === 1) {
          conditions.add(`${tags} @> ?::jsonb`, JSON.stringify({ [requirement.key]: only }))
        }
        conditions.add(`${tags} ->> ${key} = any(?::text[])`, requirement.values)
        break
      }
      case 'not-in':
        conditions.add(`coalesce(${tags} ->> ${key} <> all(?::text[]), true)`, requirement.values)
        break
      case 'exists':
        conditions.add(`jsonb_exists(${tags}, ${key})`)
        break
      case 'absent':
        conditions.add(`not jsonb_exists(${tags}, ${key})`)
        break
    }
  }
}
