import type { OutputDigest } from '../schemas/target-run.ts'
import type { AttemptEnd } from './attempt.ts'
import type { ReportBody } from './control-plane.ts'

type Of = { runId: string; n: number; epoch: number; stepId: string; attempt: number; seq: number; at: string }

/** What is reported of an attempt that ended so. */
export function outcomeReport(of: Of, end: AttemptEnd, output: OutputDigest): ReportBody {
  switch (end.kind) {
    case 'succeeded':
      return {
        type: 'succeed-step',
        data: { ...of, output, exitCode: end.exitCode, ...(end.outputs && { outputs: end.outputs }) },
      }
    case 'failed': {
      const { kind: _, ...failure } = end
      return { type: 'fail-step', data: { ...of, output, ...failure } }
    }
    case 'cancelled': {
      const { termination, detail } = end
      return { type: 'report-cancelled', data: { ...of, termination, output, detail } }
    }
    case 'lost':
      return { type: 'report-step-lost', data: { ...of, why: 'connection-lost', detail: end.detail } }
  }
}
