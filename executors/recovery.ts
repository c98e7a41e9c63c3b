import type { Clock } from '../infra/clock.ts'
import type { ControlPlane, ReportBody } from './control-plane.ts'
import type { Grant, Held, ReportSpool } from './spool/report-spool.ts'

/** Behind every number the earlier process can have given. */
const SEQ = 1_000_000
const lastWords = new Set<ReportBody['type']>([
  ...(['hand-back-target-run', 'fail-target-run'] as const),
  ...(['report-step-lost', 'report-cancelled'] as const),
])
const same = (a: Held, b: Held) => a.runId === b.runId && a.n === b.n && a.epoch === b.epoch

/**
 * What an earlier process left: its reports are sent again; of a step that was granted its start and has no outcome
 * nobody knows what it did, and that is said; the rest of what it held is given back.
 */
export async function recover(spool: ReportSpool, controlPlane: ControlPlane, clock: Clock): Promise<void> {
  const grants = spool.grants()
  const resent = controlPlane.resend()
  for (const held of spool.held()) {
    const said = resent.filter(each => same(each.report.data, held)).at(-1)
    const ended = said && lastWords.has(said.report.type) ? said : undefined
    const { delivered } =
      ended ??
      (await tell(
        held,
        grants.find(each => same(each, held)),
        controlPlane,
        clock,
      ))
    void delivered.then(answer => answer && spool.release(held))
  }
}

/** Steps that are left running when this process ends: whoever looks at them must not wait for an outcome. */
export async function reportLost(spool: ReportSpool, controlPlane: ControlPlane, clock: Clock): Promise<void> {
  for (const grant of spool.grants()) await controlPlane.report(lost(grant, clock, 'the executor was stopped'))
}

function tell(held: Held, grant: Grant | undefined, to: ControlPlane, clock: Clock) {
  const detail = 'the executor was restarted'
  if (grant) return to.report(lost(grant, clock, detail))
  return to.report({ type: 'hand-back-target-run', data: { ...held, seq: SEQ, detail } })
}

function lost(grant: Grant, clock: Clock, why: string): ReportBody {
  const detail = `${why} while the step was running`
  return { type: 'report-step-lost', data: { ...grant, at: clock.now(), why: 'executor-restarted', detail } }
}
