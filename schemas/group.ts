import { z } from 'zod'
import { description, member } from './access.ts'
import { id, line, type MessageOf, name, reason } from './kernel.ts'

export const groupCommands = {
  'create-group': z.strictObject({ groupId: id.optional(), name, description: description.optional() }),
  'add-to-group': z.strictObject({ groupId: id, member, reason: reason.optional() }),
  'remove-from-group': z.strictObject({ groupId: id, member, reason: reason.optional() }),
}

export const groupEvents = {
  GroupCreated: z.object({ groupId: id, name, description: description.optional() }),
  GroupMemberAdded: z.object({ groupId: id, member, reason: reason.optional() }),
  GroupMemberRemoved: z.object({ groupId: id, member, reason: reason.optional() }),
}

export const groupRow = z.object({
  groupId: id,
  name: line(120),
  description: z.string().nullable(),
  members: z.array(member),
  status: z.literal('active'),
})

export type GroupCommand = MessageOf<typeof groupCommands>
export type GroupEvent = MessageOf<typeof groupEvents>
export type GroupRow = z.output<typeof groupRow>
