import { z } from 'zod'
import { principal, roleName, scope } from './access.ts'
import { id, instant, type MessageOf, reason } from './kernel.ts'

const granted = { principal, role: roleName, scope, expiresAt: instant.optional(), reason }

export const grantCommands = {
  'grant-role': z.strictObject({ grantId: id.optional(), ...granted }),
  'revoke-role': z.strictObject({ grantId: id, reason }),
}

/** What the control plane itself records: the clock alone has ended the grant already. */
export const grantInternalCommands = {
  'expire-grant': z.strictObject({ grantId: id }),
}

export const grantEvents = {
  RoleGranted: z.object({ grantId: id, ...granted }),
  RoleRevoked: z.object({ grantId: id, reason }),
  RoleGrantExpired: z.object({ grantId: id, expiresAt: instant }),
}

export const grantRow = z.object({
  grantId: id,
  name: z.string().describe('The role, for lists in order of names'),
  principal,
  role: roleName,
  scope,
  expiresAt: instant.nullable(),
  reason: z.string(),
  status: z.enum(['active', 'revoked', 'expired']),
})

export type GrantCommand = MessageOf<typeof grantCommands & typeof grantInternalCommands>
export type GrantEvent = MessageOf<typeof grantEvents>
export type GrantRow = z.output<typeof grantRow>
