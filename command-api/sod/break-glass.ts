import { type AccessState, personOf } from '../../infra/access.ts'
import type { Log } from '../../infra/log.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { Answer, Dispatcher } from '../dispatch.ts'
import type { CommandOf } from '../domain/index.ts'

type Deps = { dispatcher: Dispatcher; access: { readonly state: AccessState }; log: Log }
type Rest = { meta: Meta; expected?: bigint | undefined; isNew?: boolean }

/** Tells the log at once, as what somebody should be woken for, when the glass is broken. */
export async function decideBreakGlass(deps: Deps, command: CommandOf<'breakGlass'>, rest: Rest): Promise<Answer> {
  const { dispatcher, access, log } = deps
  // What a key does in somebody's name is not their own doing here.
  const who = rest.meta.actor.kind === 'api-key' ? undefined : personOf(access.state, rest.meta.actor)
  const isReview = command.type === 'review-break-glass'
  const facts = { who: isReview ? personOf(access.state, rest.meta.actor) : who }
  const answer = await dispatcher.dispatch('breakGlass', command, { ...rest, facts })
  if (command.type === 'activate-break-glass' && answer.events.length > 0) {
    const { breakGlassId, minutes, ticket } = command.data
    const { commandId, $correlationId: correlationId, actor } = rest.meta
    const of = { commandId, correlationId, stream: answer.stream, breakGlassId, actor: actor.id, minutes, ticket }
    log.error({ alarm: 'break-glass', ...of }, 'the glass was broken: somebody has taken all rights')
  }
  return answer
}
