import { z } from 'zod'
import { principal } from './access.ts'
import { id, instant, line, type MessageOf, reason } from './kernel.ts'

/** The longest time, in minutes. */
export const MOST_MINUTES = 120
const minutes = z.int().min(1).max(MOST_MINUTES)
const ticket = line(100)
const verdict = z.enum(['justified', 'not-justified'])

/** All rights for a short time, in an emergency: told at once, ended by the clock, looked at afterwards by somebody else. */
export const breakGlassCommands = {
  'activate-break-glass': z.strictObject({ breakGlassId: id.optional(), reason, ticket, minutes }),
  'end-break-glass': z.strictObject({ breakGlassId: id, reason: reason.optional() }),
  'review-break-glass': z.strictObject({ breakGlassId: id, verdict, reason }),
}
/** What the control plane itself records: by the clock alone it is over already. */
export const breakGlassInternalCommands = {
  'expire-break-glass': z.strictObject({ breakGlassId: id }),
}

export const breakGlassEvents = {
  BreakGlassActivated: z.object({ breakGlassId: id, principal, reason, ticket, minutes, until: instant }),
  BreakGlassEnded: z.object({ breakGlassId: id, why: z.enum(['ended', 'expired']), reason: reason.optional() }),
  BreakGlassReviewed: z.object({ breakGlassId: id, verdict, reason }),
}

export const breakGlassRow = z.object({
  breakGlassId: id,
  name: z.string().describe('The ticket, for lists in order of names'),
  principal,
  reason: z.string(),
  ticket: z.string(),
  activatedAt: instant,
  until: instant,
  endedAt: instant.nullable(),
  review: z
    .object({ verdict, reason: z.string(), by: line(160), at: instant })
    .nullable()
    .describe('By somebody else than who broke the glass; null: still to come'),
  status: z.enum(['active', 'ended', 'reviewed']),
})

export type BreakGlassCommand = MessageOf<typeof breakGlassCommands & typeof breakGlassInternalCommands>
export type BreakGlassEvent = MessageOf<typeof breakGlassEvents>
export type BreakGlassRow = z.output<typeof breakGlassRow>
