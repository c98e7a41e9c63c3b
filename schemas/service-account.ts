import { z } from 'zod'
import { id, line, type MessageOf, name, reason } from './kernel.ts'

/** Who answers for a service account. It gives them no right to it, and the account acts in its own right. */
export const accountOwner = z.strictObject({ kind: z.enum(['user', 'group']), id })
export type AccountOwner = z.output<typeof accountOwner>

/** A program that acts in its own right. It has no passphrase: it acts by its API keys. */
export const serviceAccountCommands = {
  'create-service-account': z.strictObject({
    serviceAccountId: id.optional(),
    name,
    description: line(500).optional(),
    owner: accountOwner.optional().describe('Who answers for it; else the user who creates it'),
  }),
  'transfer-service-account': z.strictObject({ serviceAccountId: id, owner: accountOwner, reason }),
  'disable-service-account': z.strictObject({ serviceAccountId: id, reason }),
  'enable-service-account': z.strictObject({ serviceAccountId: id, reason }),
}

export const serviceAccountInternalCommands = {
  /** Its owner may not act any more. It goes on; somebody has to answer for it. */
  'tell-service-account-orphaned': z.strictObject({ serviceAccountId: id, owner: accountOwner }),
}

export const serviceAccountEvents = {
  ServiceAccountCreated: z.object({
    serviceAccountId: id,
    name,
    description: line(500).optional(),
    owner: accountOwner.optional(),
  }),
  ServiceAccountOwnerChanged: z.object({ serviceAccountId: id, owner: accountOwner, reason }),
  /** Nobody answers for it from here until it is transferred, also if its owner comes back. */
  ServiceAccountOrphaned: z.object({ serviceAccountId: id, name, owner: accountOwner }),
  ServiceAccountDisabled: z.object({ serviceAccountId: id, reason }),
  ServiceAccountEnabled: z.object({ serviceAccountId: id, reason }),
}

export const serviceAccountRow = z.object({
  serviceAccountId: id,
  name,
  description: z.string().nullable(),
  owner: accountOwner.nullable(),
  ownerless: z.boolean().describe('Nobody answers for it: it never had an owner, or they have left'),
  status: z.enum(['active', 'disabled']),
})

export type ServiceAccountCommand = MessageOf<typeof serviceAccountCommands>
export type ServiceAccountInternalCommand = MessageOf<typeof serviceAccountInternalCommands>
export type ServiceAccountEvent = MessageOf<typeof serviceAccountEvents>
export type ServiceAccountRow = z.output<typeof serviceAccountRow>
