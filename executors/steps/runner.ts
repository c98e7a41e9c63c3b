import type { Clock } from '../../infra/clock.ts'
import type { EgressPolicy } from '../../infra/egress.ts'
import type { OutputValue } from '../../schemas/expression.ts'
import type { FailureClass } from '../../schemas/failure.ts'
import type { RenderedStep } from '../../schemas/steps/index.ts'
import type { Artifacts } from '../artifacts.ts'
import type { MaskSet } from '../output/masker.ts'
import type { ProcessOutput } from '../ssh/remote-process.ts'
import type { ClientCertificate } from '../step-secret.ts'
import type { TargetLink } from '../target-link.ts'

/** How what a step does came to its end, as far as anybody can know. */
export type StepEnd =
  /** `outputs` are those a kind of step always has; those its author asked for are found in what it printed. */
  | { kind: 'succeeded'; exitCode: number; outputs?: Record<string, OutputValue> }
  | { kind: 'failed'; class: FailureClass; detail: string; exitCode?: number; signal?: string }
  /** The signal was given. `unconfirmed`: something of it may still go on. */
  | { kind: 'stopped'; termination: 'not-started' | 'terminated' | 'unconfirmed'; detail: string }
  /** It may or may not have taken effect. */
  | { kind: 'lost'; detail: string }

/** What a runner works with. */
export type StepTools = {
  step: RenderedStep
  /** What the step reads from standard input and nobody else may see. */
  secret: Buffer | undefined
  /** The same, where it is to be shown to the other side by TLS. */
  certificate: ClientCertificate | undefined
  target: { address: string; port: number }
  /** The way to the target; not connected before somebody asks for it. */
  link: TargetLink
  artifacts: Artifacts
  egress: EgressPolicy
  clock: Clock
  /** For a connection that does not go by the link. */
  connectMs: number
  /** Given when the step is to be stopped, whoever wants it: the runner stops what it began, then says how that went. */
  signal: AbortSignal
  /**
   * To be called right before something is handed over, after all that takes its time: a connection that is slow to
   * come must not outlive the lease. Answers for how many milliseconds; throws SshFailure `lost-before-start`.
   */
  mayBegin(): number
  /** The step's own time begins: what came before, such as a login, has limits of its own. */
  begin(): void
  /** Progress that nobody sees as output: the step is not taken for stuck. */
  alive(): void
  /** Where the step's output goes; with the secrets to hide in it, which follow from the connection. */
  output(masks?: MaskSet): ProcessOutput
}

/** One kind of step. Runs never reject for anything a target or a network does. */
export type Runner<A> = {
  /** Logs in before the start is asked for, so that a target out of reach has no step that began. */
  connects: boolean
  run(action: A, tools: StepTools): Promise<StepEnd>
}
