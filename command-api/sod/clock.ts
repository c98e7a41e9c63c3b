import type { AccessState } from '../../infra/access.ts'
import type { Clock } from '../../infra/clock.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { Dispatcher } from '../dispatch.ts'

type Deps = { dispatcher: Dispatcher; access: { readonly state: AccessState }; clock: Clock; log: Log }

const EVERY_MS = 1_000

/** Records what the clock has ended already: emergency rights and grants whose time is over. */
export function createBreakGlassClock(deps: Deps): { stop(): Promise<void> } {
  let working: Promise<void> = Promise.resolve()
  let busy = false
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    working = endOverdue(deps).finally(() => {
      busy = false
    })
  }, EVERY_MS)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await working
    },
  }
}

/** Several processes may do this at once: the decision is the same, and the second one records nothing. */
export async function endOverdue({ dispatcher, access, clock, log }: Deps): Promise<void> {
  const at = clock.now()
  const isOver = (until: string | null) => until !== null && Date.parse(until) <= Date.parse(at)
  const record = async (command: string, id: string, dispatch: (meta: Meta) => Promise<unknown>) => {
    const meta: Meta = {
      ...{ commandId: derivedId(command, id), $correlationId: id, $causationId: id, at },
      ...{ actor: { kind: 'system', id: 'clock' }, origin: { channel: 'system' } },
    }
    await dispatch(meta).catch(err =>
      log.warn({ err, command, id }, 'the end of rights is not recorded yet; they are over all the same'),
    )
  }
  for (const { breakGlassId, status, until } of access.state.rows.breakglass.values()) {
    if (status !== 'active' || !isOver(until)) continue
    const command = { type: 'expire-break-glass', data: { breakGlassId } } as const
    await record(command.type, breakGlassId, meta =>
      dispatcher.dispatch('breakGlass', command, { meta, facts: undefined }),
    )
  }
  for (const { grantId, status, expiresAt } of access.state.rows.grant.values()) {
    if (status !== 'active' || !isOver(expiresAt)) continue
    const command = { type: 'expire-grant', data: { grantId } } as const
    await record(command.type, grantId, meta => dispatcher.dispatch('grant', command, { meta, facts: undefined }))
  }
}
