import { z } from 'zod'
import { id, line, type MessageOf, name, reason } from './kernel.ts'

/** A program that acts in its own right. It has no passphrase: it acts by its API keys. */
export const serviceAccountCommands = {
  'create-service-account': z.strictObject({
    serviceAccountId: id.optional(),
    name,
    description: line(500).optional(),
  }),
  'disable-service-account': z.strictObject({ serviceAccountId: id, reason }),
  'enable-service-account': z.strictObject({ serviceAccountId: id, reason }),
}

export const serviceAccountEvents = {
  ServiceAccountCreated: z.object({ serviceAccountId: id, name, description: line(500).optional() }),
  ServiceAccountDisabled: z.object({ serviceAccountId: id, reason }),
  ServiceAccountEnabled: z.object({ serviceAccountId: id, reason }),
}

export const serviceAccountRow = z.object({
  serviceAccountId: id,
  name,
  description: z.string().nullable(),
  status: z.enum(['active', 'disabled']),
})

export type ServiceAccountCommand = MessageOf<typeof serviceAccountCommands>
export type ServiceAccountEvent = MessageOf<typeof serviceAccountEvents>
export type ServiceAccountRow = z.output<typeof serviceAccountRow>
