import { type Bus, subscribeJson } from '../infra/bus.ts'
import type { Clock } from '../infra/clock.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { eventId } from '../infra/ids.ts'
import { subjects } from '../schemas/bus.ts'
import { streams } from '../schemas/events.ts'
import { type RefusalMessage, refusalMessage } from '../schemas/refusal.ts'
import { withPatience } from './patience.ts'

type Deps = { store: Pick<EventStore, 'append'>; clock: Clock }
const SIDE_BY_SIDE = 4

/** Records one refusal of a request. The same one again is the same event. */
export async function appendRefusal({ store, clock }: Deps, { metadata, ...event }: RefusalMessage): Promise<void> {
  const { refusalId } = event.data
  const fact = { ...event, id: eventId(refusalId, 0), metadata }
  await withPatience(clock, () => store.append(streams.refusal(refusalId), [fact], 'none'))
}

/** Records what roles without the event store have refused. */
export function takeRefusals(bus: Bus, deps: Deps): void {
  const options = { queue: 'refusals', concurrency: SIDE_BY_SIDE, maxWaiting: 1_000 }
  const record = async (told: RefusalMessage) => {
    await appendRefusal(deps, told)
    return {}
  }
  subscribeJson(bus, subjects.refused, refusalMessage, record, options)
}
