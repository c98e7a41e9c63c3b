import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { sha256Hex } from '../infra/ids.ts'
import { streams } from '../schemas/events.ts'
import { instant, type Meta } from '../schemas/kernel.ts'
import { commandAnswer } from './answer.ts'
import type { Answer, Dispatcher } from './dispatch.ts'
import type { CommandOf } from './domain/index.ts'

const TOKEN_BYTES = 32
const told = 'The token was shown in the first answer to this request and is kept nowhere: ask for a new one'

/** What `create-enrolment-token` answers: the only time the token leaves this process. */
export const enrolmentTokenAnswer = commandAnswer.extend({
  token: z.string().nullable().describe('Shown once; null in the answer to a repeated request'),
  expiresAt: instant.nullable(),
  notice: z.string().optional(),
})
export type EnrolmentTokenAnswer = Answer & { token: string | null; expiresAt: string | null; notice?: string }

/** 256 random bits behind a prefix that secret scanners can find. */
export const newEnrolmentToken = (): string => `opsce_${randomBytes(TOKEN_BYTES).toString('base64url')}`

type Rest = { meta: Meta; expected?: bigint | undefined; isNew?: boolean }

/**
 * Only the token's digest is dispatched. Whether this very token is the one in the log is looked up afterwards: a
 * repeated request finds the events of the first one, whose token nobody has any more.
 */
export async function issueEnrolmentToken(
  dispatcher: Dispatcher,
  command: Extract<CommandOf<'executor'>, { type: 'create-enrolment-token' }>,
  rest: Rest,
): Promise<EnrolmentTokenAnswer> {
  const token = newEnrolmentToken()
  const tokenHash = sha256Hex(token)
  const answer = await dispatcher.dispatch('executor', command, { ...rest, facts: { tokenHash } })
  const { state } = await dispatcher.load('executor', streams.executor(command.data.executorId))
  const issued = state.status === 'absent' ? undefined : state.token
  if (issued?.tokenHash !== tokenHash) return { ...answer, token: null, expiresAt: null, notice: told }
  return { ...answer, token, expiresAt: issued.expiresAt }
}
