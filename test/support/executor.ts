import { pino } from 'pino'
import type { Test } from 'tap'
import { start } from '../../executors/main.ts'
import { loadConfig } from '../../infra/config.ts'
import { runStages } from '../../infra/lifecycle.ts'
import type { Assignment } from '../../schemas/bus.ts'
import type { UsableSecret } from '../../schemas/credential.ts'
import { type RenderedStep, renderedStep } from '../../schemas/steps/index.ts'
import { startBroker, type TestBroker } from './broker.ts'
import { assignmentOf, startControlPlane, type TestControlPlane } from './control-plane.ts'
import { type Sshd, type SshdOptions, startSshd } from './sshd.ts'

export const executorId = 'spec-executor'

export type ExecutorBench = {
  sshd: Sshd
  broker: TestBroker
  plane: TestControlPlane
  /** Settings the executor runs with, its folder among them. */
  env: Record<string, string>
  /** Gives out work on the server with the credential that logs in there; `more` changes any of it. */
  run(steps: RenderedStep[], more?: More): Assignment
  /** Ends the executor in order. */
  stop(): Promise<void>
}
export type More = Partial<Omit<Assignment, 'target'>> & { target?: Partial<Assignment['target']> }

/** A step called `do`, as the control plane gives it out. */
export const step = (uses: string, details: object, more: object = {}): RenderedStep =>
  renderedStep.parse({
    ...{ id: 'do', action: { uses, with: details }, timeoutSeconds: 3_600, continueOnError: false },
    ...more,
  })

/** A step `ssh.command` called `do`. */
export const command = (text: string, more: object = {}): RenderedStep => step('ssh.command', { command: text }, more)

/** Pids that the command printed, once it has. */
export async function pids(plane: TestControlPlane, of: Assignment, count: number): Promise<number[]> {
  const printed = () => plane.text(of).trim().split(/\s+/).filter(Boolean).map(Number)
  await plane.until(() => printed().length >= count, 'the pids')
  return printed()
}

export type ExecutorBenchOptions = {
  sshd?: SshdOptions
  secret?: UsableSecret
  env?: Record<string, string>
  /** False: the spec starts the executor itself. */
  started?: boolean
}

/** An executor with everything it needs around it: a server to work on, a broker, and the spec as its control plane. */
export async function startExecutor(t: Test, options: ExecutorBenchOptions = {}): Promise<ExecutorBench> {
  const sshd = await startSshd(t, options.sshd)
  const broker = await startBroker(t)
  const secret = options.secret ?? { kind: 'ssh-key' as const, privateKey: sshd.privateKey }
  const plane = await startControlPlane(t, { url: broker.url, executorId, secret })
  const env = {
    OPSCONDUCTOR_DATA_DIR: t.testdir(),
    OPSCONDUCTOR_NATS_URL: broker.url,
    OPSCONDUCTOR_EXECUTOR_ID: executorId,
    OPSCONDUCTOR_STOP_SECONDS: '3',
    ...options.env,
  }
  const stop = options.started === false ? async () => undefined : await startInProcess(env)
  t.teardown(stop)
  const credential = {
    ...{ credentialId: '0190a000-0000-7000-8000-000000000002', version: 1 },
    ...{ kind: secret.kind, username: sshd.username },
  }
  const run = (steps: RenderedStep[], more: More = {}) => {
    const target = {
      ...{ targetId: '0190a000-0000-7000-8000-000000000001', address: sshd.host, port: sshd.port },
      hostKey: { policy: 'pinned' as const, key: sshd.hostKey },
      ...more.target,
    }
    const assignment = assignmentOf({ credential, steps, ...more, target })
    plane.assign(assignment)
    return assignment
  }
  return { sshd, broker, plane, env, run, stop }
}

async function startInProcess(env: Record<string, string>): Promise<() => Promise<void>> {
  const log = pino({ level: process.env.OPSCONDUCTOR_TEST_LOG ?? 'silent' })
  const role = await start(loadConfig(env), log)
  let stopped: Promise<boolean> | undefined
  return async () => {
    stopped ??= runStages(role.stop, log)
    await stopped
  }
}
