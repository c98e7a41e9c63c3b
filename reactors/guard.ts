import type { Executor } from '../command-api/domain/index.ts'
import type { BusMessage } from '../infra/bus.ts'
import { derivedId } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import {
  type Heartbeat,
  type HeartbeatReply,
  heartbeatHeaders,
  type PullRequest,
  type ReportMessage,
  type ReportReply,
} from '../schemas/bus.ts'
import type { By, Commands } from './commands.ts'
import type { Fleet } from './fleet.ts'
import type { Labels } from './runs/active-run.ts'
import { refuse, type Served } from './serve.ts'

type Parts = {
  fleet: Fleet
  commands: Pick<Commands, 'send'>
  log: Log
  enrol: Served['enrol']
  pull(request: PullRequest, message: BusMessage, labels: Labels): void
  /** Undefined when it must not count as heard. */
  heartbeat(beat: Heartbeat, session: string | undefined): Promise<HeartbeatReply | undefined>
  /** Whether its question for work waits to be answered. */
  isAsked(beat: Heartbeat): boolean
  /** Changes when answers may have got lost. */
  session(): string
  report(message: ReportMessage): Promise<ReportReply>
  output: Served['output']
}

/** How long an executor that is drained waits for its answer: it is to notice soon that it may work again. */
const DRAINED_WAIT_MS = 2_000
const ending = { code: 'lease-ending', detail: 'a claim of this executor is being given to others' }
const revoked = { code: 'executor-revoked', detail: 'this executor is revoked' }

/** What executors ask and say, as far as it comes from one that may: the others get an answer, and nothing happens. */
export function guarded({ fleet, commands, log, ...parts }: Parts): Served {
  return {
    enrol: parts.enrol,
    async pull(request, message) {
      const pool = message.subject.slice(message.subject.lastIndexOf('.') + 1)
      const verdict = await fleet.admits(request, pool)
      if (verdict === 'ok') parts.pull(request, message, labelsOf(await fleet.standing(request.executorId)))
      else if (verdict === 'draining') answerLater(message, Math.min(request.waitMs, DRAINED_WAIT_MS))
      else refuse(message, verdict)
    },
    async heartbeat(beat, message) {
      const standing = await fleet.standing(beat.executorId)
      if (standing.status === 'revoked') return refuse(message, revoked)
      if (standing.status === 'enrolled' || standing.status === 'draining') fleet.heard(beat)
      const reply = await parts.heartbeat(beat, message.headers[heartbeatHeaders.session])
      if (!reply) return refuse(message, ending)
      const said = standing.status === 'absent' ? reply : { ...reply, pool: standing.pool }
      message.reply(JSON.stringify(said), {
        [heartbeatHeaders.session]: parts.session(),
        [heartbeatHeaders.asking]: parts.isAsked(beat) ? 'yes' : 'no',
      })
    },
    async report(message) {
      const { status } = await fleet.standing(message.executorId)
      if (status !== 'revoked') return await parts.report(message)
      await record(commands, message).catch(err =>
        log.warn({ err, executorId: message.executorId }, 'what a revoked executor reported could not be noted'),
      )
      return { status: 'stale', ...revoked }
    },
    async output(batch, message) {
      return fleet.isRevoked(batch.executorId) ? refuse(message, revoked) : await parts.output(batch, message)
    },
  }
}

const labelsOf = (standing: Executor): Labels => (standing.status === 'absent' ? {} : standing.labels)

function answerLater(message: BusMessage, ms: number): void {
  setTimeout(() => message.reply(JSON.stringify({ assignments: [] })), ms).unref()
}

/** That it said something is history, up to a bound; what it said is not believed. */
async function record(commands: Parts['commands'], { reportId, executorId, report }: ReportMessage): Promise<void> {
  const { runId, n, epoch } = report.data
  const data = { executorId, runId, n, epoch, report: report.type }
  const by: By = {
    ...{ commandId: derivedId('refuse-report', reportId), correlationId: runId, causationId: reportId },
    ...{ actor: { kind: 'executor', id: executorId }, origin: { channel: 'executor' } },
  }
  await commands.send('executor', { type: 'refuse-report', data }, by)
}
