import type { AccessState } from '../../infra/access.ts'
import type { Clock } from '../../infra/clock.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { Dispatcher } from '../dispatch.ts'

type Deps = { dispatcher: Dispatcher; access: { readonly state: AccessState }; clock: Clock; log: Log }

const EVERY_MS = 1_000

/** Records what the clock has ended already: emergency rights whose time is over. */
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
  for (const { breakGlassId, status, until } of access.state.rows.breakglass.values()) {
    if (status !== 'active' || Date.parse(until) > Date.parse(at)) continue
    const commandId = derivedId('expire-break-glass', breakGlassId)
    const meta: Meta = {
      ...{ commandId, $correlationId: breakGlassId, $causationId: breakGlassId, at },
      ...{ actor: { kind: 'system', id: 'clock' }, origin: { channel: 'system' } },
    }
    const command = { type: 'expire-break-glass', data: { breakGlassId } } as const
    try {
      await dispatcher.dispatch('breakGlass', command, { meta, facts: undefined })
    } catch (err) {
      log.warn({ err, breakGlassId }, 'the end of emergency rights is not recorded yet; they are over all the same')
    }
  }
}
