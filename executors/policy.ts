import type { RenderedStep } from '../schemas/steps/index.ts'

export type Judgement = { allowed: true } | { allowed: false; detail: string }
/** The last question before a step takes effect: whether what was rendered may be done there. Never rejects. */
export type MayRun = (step: RenderedStep, environment: string | undefined) => Promise<Judgement>

/** Where nothing is asked. */
export const everythingMayRun: MayRun = async () => ({ allowed: true })
