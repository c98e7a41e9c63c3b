import { z } from 'zod'
import { description, roleName } from './access.ts'
import { line, type MessageOf, reason } from './kernel.ts'
import { permissionNames } from './permissions.ts'

/** What only the built-in administrator has: with it, whoever can define a role could have everything. */
const definable = permissionNames.filter(name => name !== 'grant:any')
const known: z.ZodType<string> = z.enum(definable)
const permissionList = z
  .array(known)
  .min(1)
  .max(permissionNames.length)
  .refine(list => new Set(list).size === list.length, 'each permission once')
/** In the log any word: a permission of today may be none of tomorrow's. */
const permission = line(60)

export const roleCommands = {
  'define-role': z.strictObject({ role: roleName, description: description.optional(), permissions: permissionList }),
  'change-role': z.strictObject({ role: roleName, permissions: permissionList, reason: reason.optional() }),
  'retire-role': z.strictObject({ role: roleName, reason }),
}

export const roleEvents = {
  RoleDefined: z.object({ role: roleName, description: description.optional(), permissions: z.array(permission) }),
  RolePermissionAdded: z.object({ role: roleName, permission, reason: reason.optional() }),
  RolePermissionRemoved: z.object({ role: roleName, permission, reason: reason.optional() }),
  RoleRetired: z.object({ role: roleName, reason }),
}

/** A role that somebody defined; the built-in ones are not in the log. */
export const roleRow = z.object({
  role: roleName,
  name: z.string().describe('The same as its id'),
  description: z.string().nullable(),
  permissions: z.array(permission),
  status: z.enum(['active', 'retired']),
})

export type RoleCommand = MessageOf<typeof roleCommands>
export type RoleEvent = MessageOf<typeof roleEvents>
export type RoleRow = z.output<typeof roleRow>
