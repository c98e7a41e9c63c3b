import { z } from 'zod'
import { tagKey, tagValue } from './kernel.ts'

type Requirement = { key: string } & ({ op: 'in' | 'not-in'; values: string[] } | { op: 'exists' | 'absent' })

const SET = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/
const PAIR = /^([^\s=!]+)\s*(==|!=|=)\s*(\S*)$/

/** Splits at commas that are not inside parentheses. */
function clauses(text: string): string[] {
  return text.split(/,(?![^(]*\))/).map(part => part.trim())
}

function requirement(clause: string): Requirement | undefined {
  const set = SET.exec(clause)
  if (set?.[1] && set[3] !== undefined) {
    return { key: set[1], op: set[2] === 'in' ? 'in' : 'not-in', values: set[3].split(',').map(v => v.trim()) }
  }
  const pair = PAIR.exec(clause)
  if (pair?.[1] && pair[3] !== undefined)
    return { key: pair[1], op: pair[2] === '!=' ? 'not-in' : 'in', values: [pair[3]] }
  if (clause.startsWith('!')) return { key: clause.slice(1).trim(), op: 'absent' }
  return { key: clause, op: 'exists' }
}

function valid(r: Requirement): boolean {
  return tagKey.safeParse(r.key).success && (!('values' in r) || r.values.every(v => tagValue.safeParse(v).success))
}

/**
 * Parses `env=prod,role in (web,db),tier!=canary,!legacy,owner` into requirements that must all hold
 * (the equality- and set-based selectors of Kubernetes labels). Returns undefined when it does not parse.
 */
export function parseLabelExpression(text: string): Requirement[] | undefined {
  const parsed = clauses(text).map(requirement)
  return parsed.every(r => r !== undefined && valid(r)) ? (parsed as Requirement[]) : undefined
}

/** True when the tags meet every requirement. As with Kubernetes, `!=` and `notin` also match a missing key. */
export function matchesLabels(requirements: Requirement[], tags: Readonly<Record<string, string>>): boolean {
  return requirements.every(r => {
    const value = Object.hasOwn(tags, r.key) ? tags[r.key] : undefined
    switch (r.op) {
      case 'in':
        return value !== undefined && r.values.includes(value)
      case 'not-in':
        return value === undefined || !r.values.includes(value)
      case 'exists':
        return value !== undefined
      case 'absent':
        return value === undefined
    }
  })
}

export const labelExpression = z
  .string()
  .min(1)
  .max(1000)
  .refine(
    text => parseLabelExpression(text) !== undefined,
    'a label expression such as env=prod,role in (web,db),!legacy',
  )
