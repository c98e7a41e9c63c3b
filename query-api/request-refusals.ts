import { z } from 'zod'
import { type Bus, requestJson } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import { systemIds } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import { createRequestRefusals, type RequestRefusals } from '../infra/request-refusals.ts'
import { subjects } from '../schemas/bus.ts'

const TELL_MS = 10_000
const recorded = z.strictObject({})

/** The query side cannot write to the log: it asks the command side to. Without an answer the refusal is counted. */
export function refusalsByBus(bus: Bus, log: Log): RequestRefusals {
  return createRequestRefusals({
    tell: async event => void (await requestJson(bus, subjects.refused, recorded, event, { timeoutMs: TELL_MS })),
    ...{ clock: systemClock, ids: systemIds, log },
  })
}
