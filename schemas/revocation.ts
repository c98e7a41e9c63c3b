import { z } from 'zod'
import { member, principal, roleName } from './access.ts'
import { id, instant } from './kernel.ts'

/** What is over, and can only take away. */
export const over = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('grant'), grantId: id }),
  z.strictObject({
    kind: z.literal('role'),
    role: roleName,
    permission: z.string().max(100).optional().describe('Absent: all of them'),
  }),
  z.strictObject({ kind: z.literal('member'), groupId: id, member }),
  z.strictObject({ kind: z.literal('principal'), principal }),
  z.strictObject({ kind: z.literal('break-glass'), breakGlassId: id }),
  z.strictObject({ kind: z.literal('session'), sessionId: id }),
  z.strictObject({ kind: z.literal('sessions'), userId: id }).describe('All that began before'),
])

/** With the event that ended it: whoever knows the stream up to there knows it already, and maybe what came after. */
export const revocation = z.strictObject({
  stream: z.string().max(160),
  revision: z.string().regex(/^\d{1,18}$/),
  at: instant,
  over,
})
export type Revocation = z.output<typeof revocation>

/** More than this in one message would come near to what the broker carries. */
export const MOST_REVOCATIONS = 2_000
export const revocations = z.strictObject({ revocations: z.array(revocation).max(MOST_REVOCATIONS) })
