import type { NewEvent } from '../../infra/event-store/port.ts'
import { derivedId } from '../../infra/ids.ts'
import { type AnyEvent, type Recorded, streams } from '../../schemas/events.ts'
import type { EventMetadata } from '../../schemas/kernel.ts'

const START = Date.UTC(2026, 0, 1)
export const digest = (text: string) => derivedId(text).replaceAll('-', '').repeat(2)
const output = { bytes: 12, chunks: 1, sha256: digest('output'), truncated: false }
const address = (n: number) => `10.0.${Math.floor(n / 250)}.${(n % 250) + 1}`

export const ids = {
  target: (n: number) => derivedId('target', n),
  credential: (n: number) => derivedId('credential', n),
  job: (n: number) => derivedId('job', n),
  run: (n: number) => derivedId('run', n),
}

/** A log made up for specs and benches: the same calls give the same events, ids and times. */
export class History {
  readonly events: Recorded[] = []
  readonly #revisions = new Map<string, bigint>()

  /** Adds one event; `at` defaults to one second per event. */
  add(stream: string, event: AnyEvent, metadata: Partial<EventMetadata> & { recordedAt?: string } = {}): Recorded {
    const position = BigInt(this.events.length)
    const revision = (this.#revisions.get(stream) ?? -1n) + 1n
    this.#revisions.set(stream, revision)
    const commandId = derivedId('command', this.events.length)
    const at = new Date(START + this.events.length * 1000).toISOString()
    const { recordedAt = at, ...given } = metadata
    const recorded: Recorded = {
      ...event,
      id: derivedId('event', this.events.length),
      stream,
      revision,
      position: { commit: position, prepare: position },
      recordedAt,
      metadata: {
        commandId,
        $correlationId: commandId,
        $causationId: commandId,
        actor: { kind: 'api-key', id: 'ada' },
        origin: { channel: 'api' },
        at,
        schemaVersion: 1,
        ...given,
      },
    }
    this.events.push(recorded)
    return recorded
  }

  target(n: number, tags: Record<string, string> = {}): string {
    const targetId = ids.target(n)
    const described = { name: `web-${n}`, address: address(n), port: 22, platform: 'linux', tags } as const
    const data = { targetId, ...described, hostKeyPolicy: 'first-use', credentialId: ids.credential(0) } as const
    this.add(streams.target(targetId), { type: 'TargetRegistered', data }, { command: 'create-target' })
    return targetId
  }

  credential(n: number): string {
    const credentialId = ids.credential(n)
    const stream = streams.credential(credentialId)
    const described = { credentialId, name: `deploy-${n}`, username: 'deploy', kind: 'password' } as const
    this.add(stream, { type: 'CredentialCreated', data: described }, { command: 'create-credential' })
    const sealed = {
      sealId: derivedId('seal', n),
      kekId: 'kek-1',
      fingerprint: digest('f'),
      ciphertextDigest: digest('c'),
    }
    const data = { credentialId, version: 1, kind: 'password', ...sealed } as const
    this.add(stream, { type: 'CredentialVersionAdded', data }, { command: 'create-credential' })
    return credentialId
  }

  job(n: number): string {
    const jobId = ids.job(n)
    this.add(streams.job(jobId), { type: 'JobDefined', data: { jobId, name: `job-${n}` } }, { command: 'define-job' })
    this.publish(n, 1, 'uptime', 'define-job')
    return jobId
  }

  publish(n: number, version: number, command: string, by = 'publish-job-version'): Recorded {
    const rules = { timeoutSeconds: 60, continueOnError: false, idempotent: false }
    const steps = [{ id: 'first', uses: 'ssh.command' as const, with: { command }, ...rules }]
    const data = { jobId: ids.job(n), version, steps, selection: { labels: 'env=prod' }, digest: digest(command) }
    return this.add(streams.job(data.jobId), { type: 'JobVersionPublished', data }, { command: by })
  }

  /** A run that was asked for and has its targets, queued. */
  request(n: number, job: number, targets: readonly number[]): string {
    const runId = ids.run(n)
    const initiator = { kind: 'api-key', id: 'ada' } as const
    const chosen = { jobId: ids.job(job), jobVersion: 1, jobName: `job-${job}`, selection: { labels: 'env=prod' } }
    const data = { runId, ...chosen, targets: targets.length, initiator }
    this.add(streams.run(runId), { type: 'RunRequested', data }, { command: 'trigger-run' })
    const resolved = { runId, from: 0, targetIds: targets.map(ids.target) }
    this.add(streams.run(runId), { type: 'TargetsResolved', data: resolved }, { command: 'trigger-run' })
    return runId
  }

  claim(run: number, n: number, target: number, epoch = 1): void {
    const runId = ids.run(run)
    const steps = [{ id: 'first', idempotent: false, continueOnError: false }]
    const executor = { executorId: 'executor-1', executorKey: 'k'.repeat(43), deadline: '2026-01-02T00:00:00.000Z' }
    const at = { name: `web-${target}`, address: address(target), port: 22 }
    const data = { runId, n, targetId: ids.target(target), epoch, ...executor, steps, target: at }
    this.add(streams.targetRun(runId, n), { type: 'TargetRunClaimed', data })
  }

  /** Claimed, started and ended on one target, five events. */
  targetRun(run: number, n: number, target: number, exitCode = 0): void {
    this.claim(run, n, target)
    const runId = ids.run(run)
    const stream = streams.targetRun(runId, n)
    const step = { runId, n, stepId: 'first', attempt: 1, epoch: 1 }
    const at = new Date(START + this.events.length * 1000).toISOString()
    this.add(stream, { type: 'StepStarted', data: { ...step, at } })
    const ended = { ...step, seq: 1, at, output }
    const detail = `exit code ${exitCode}`
    if (exitCode === 0) this.add(stream, { type: 'StepSucceeded', data: { ...ended, exitCode } })
    else this.add(stream, { type: 'StepFailed', data: { ...ended, class: 'exit-nonzero', exitCode, detail } })
    this.add(stream, { type: 'OutputSealed', data: { ...step, ...output } })
    const over = { runId, n, targetId: ids.target(target) }
    if (exitCode === 0) this.add(stream, { type: 'TargetRunSucceeded', data: over })
    else this.add(stream, { type: 'TargetRunFailed', data: { ...over, class: 'exit-nonzero', detail } })
  }

  /** A whole run: asked for, started, worked off, ended. Every `failing`-th target run fails. */
  run(n: number, job: number, targets: readonly number[], failing = 0): string {
    const runId = this.request(n, job, targets)
    this.add(streams.run(runId), { type: 'RunStarted', data: { runId } })
    const counts = { succeeded: 0, failed: 0, cancelled: 0, needsAttention: 0 }
    for (const [i, target] of targets.entries()) {
      const fails = failing > 0 && (i + 1) % failing === 0
      this.targetRun(n, i, target, fails ? 1 : 0)
      counts[fails ? 'failed' : 'succeeded'] += 1
    }
    const type = counts.failed === 0 ? 'RunSucceeded' : counts.succeeded === 0 ? 'RunFailed' : 'RunPartiallySucceeded'
    this.add(streams.run(runId), { type, data: { runId, counts } })
    return runId
  }
}

/** The events as they would be appended: what the log adds is left out. */
export function asNew({ id, type, data, metadata }: Recorded): NewEvent {
  // Still the same pair of type and data, which the compiler cannot see once it is taken apart.
  return { id, type, data, metadata } as NewEvent
}
