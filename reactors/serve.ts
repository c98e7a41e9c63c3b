import type { z } from 'zod'
import {
  type Bus,
  type BusMessage,
  errorHeader,
  type SubscribeOptions,
  type Subscription,
  subscribeJson,
} from '../infra/bus.ts'
import {
  type EnrolReply,
  type EnrolRequest,
  enrolRequest,
  type Heartbeat,
  type HeartbeatReply,
  heartbeat,
  type OutputBatch,
  type OutputReply,
  outputBatch,
  type PullRequest,
  pullRequest,
  type ReportMessage,
  type ReportReply,
  reportMessage,
  subjects,
} from '../schemas/bus.ts'

export type Served = {
  enrol(request: EnrolRequest): Promise<EnrolReply>
  /** Answers the message itself, later. */
  pull(request: PullRequest, message: BusMessage): Promise<void>
  /** Undefined when it has answered the message itself. */
  heartbeat(beat: Heartbeat, message: BusMessage): Promise<HeartbeatReply | undefined>
  report(message: ReportMessage): Promise<ReportReply>
  output(batch: OutputBatch, message: BusMessage): Promise<OutputReply | undefined>
}

/** One queue group: where two processes believe to be the active one, each message but heartbeats still goes to one. */
const QUEUE = 'reactors'
const PULLS_AT_ONCE = 16
const HEARTBEATS_AT_ONCE = 16
const REPORTS_AT_ONCE = 256
const OUTPUT_AT_ONCE = 64

/** Serves what executors ask, report and send. */
export function serve(bus: Bus, served: Served): Subscription[] {
  const on = <S extends z.ZodType>(
    subject: string,
    schema: S,
    handler: (payload: z.output<S>, message: BusMessage) => unknown,
    options: SubscribeOptions = {},
  ) => subscribeJson(bus, subject, schema, handler, { queue: QUEUE, ...options })
  return [
    on(subjects.enrol, enrolRequest, served.enrol),
    on(subjects.pullAll, pullRequest, served.pull, { concurrency: PULLS_AT_ONCE }),
    // To each of them: whoever believes to be the active one must not take for silence what another process heard.
    subscribeJson(bus, subjects.heartbeatAll, heartbeat, own(served.heartbeat), { concurrency: HEARTBEATS_AT_ONCE }),
    on(subjects.reportAll, reportMessage, own(served.report), { concurrency: REPORTS_AT_ONCE }),
    // A batch is up to 1 MiB: what waits beyond these is dropped and sent again.
    on(subjects.outputAll, outputBatch, own(served.output), {
      concurrency: OUTPUT_AT_ONCE,
      maxWaiting: OUTPUT_AT_ONCE,
    }),
  ]
}

/** An expected answer, not a fault: it is told to whoever asked, and nobody else need hear of it. */
export function refuse(
  message: Pick<BusMessage, 'reply'>,
  { code, detail }: { code: string; detail: string },
): undefined {
  message.reply(detail, { [errorHeader]: code })
}

/** The broker lets an executor publish under its own name only; what it says about itself must agree. */
function own<T extends { executorId: string }, R>(handler: (payload: T, message: BusMessage) => Promise<R>) {
  return async (payload: T, message: BusMessage): Promise<R> => {
    const { subject } = message
    if (subject.slice(subject.lastIndexOf('.') + 1) !== payload.executorId) throw new WrongSender(subject)
    return handler(payload, message)
  }
}

class WrongSender extends Error {
  override name = 'WrongSender'
  readonly code = 'wrong-sender'
}
