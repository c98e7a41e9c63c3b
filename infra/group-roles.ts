import { z } from 'zod'
import { ProblemError } from '../schemas/problems.ts'
import { parseStrictJson } from './http/strict-json.ts'

export type GroupRole = { group: string; role: string }

const role = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'a role is lower-case letters, digits and -')
const group = z.string().min(1).max(200)
const roles = z.union([role.transform(one => [one]), z.array(role).min(1).max(50)], {
  error: 'a role, or a list of roles, each of lower-case letters, digits and -',
})
const mapping = z.record(group, roles)

/**
 * Which groups of an OpenID provider give which roles: `group=role,group=role`, or a JSON object of groups to a role or
 * a list of roles, which takes any name of a group. What begins with `{` is JSON.
 */
export const groupRoles = z
  .string()
  .default('')
  .transform((text, context): GroupRole[] => (/^\s*\{/.test(text) ? fromJson(text, context) : fromPairs(text, context)))

function fromPairs(text: string, context: z.RefinementCtx): GroupRole[] {
  const pairs = text.split(',').map(pair => pair.trim())
  return pairs.filter(Boolean).flatMap(pair => {
    const [group = '', given, ...more] = pair.split('=')
    if (group !== '' && group.length <= 200 && more.length === 0 && role.safeParse(given).success)
      return { group, role: given ?? '' }
    const hint = 'a group whose name has a comma or = in it takes the form {"group": "role"}'
    context.addIssue({ code: 'custom', message: `${pair} is not group=role; ${hint}` })
    return []
  })
}

function fromJson(text: string, context: z.RefinementCtx): GroupRole[] {
  try {
    JSON.parse(text)
    const parsed = mapping.safeParse(parseStrictJson(Buffer.from(text)))
    if (parsed.success)
      return Object.entries(parsed.data).flatMap(([group, names]) => names.map(role => ({ group, role })))
    for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path, message })
  } catch (error) {
    const why = error instanceof ProblemError ? error.detail : error instanceof Error ? error.message : undefined
    context.addIssue({ code: 'custom', message: `is not a JSON object of groups to roles: ${why}` })
  }
  return []
}
