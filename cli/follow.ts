import { TextDecoder } from 'node:util'
import { isRunOver } from '../schemas/run.ts'
import type { Client } from './client.ts'
import { exitCode } from './errors.ts'
import { note, plain } from './output.ts'
import { ProgressLine } from './progress-line.ts'

type Counts = { succeeded: number; failed: number; cancelled: number; needsAttention: number }
type RunView = { runId: string; jobName: string; status: string; targets: number; counts: Counts }
type TargetRunView = { n: number; targetName: string | null; targetId: string }
type RunEventData = { type: string; data: Record<string, unknown> }
type OutputData = { chunks: Array<{ n: number; stream: 'stdout' | 'stderr'; data: string }> }

const marks: Record<string, string> = {
  TargetRunSucceeded: '✔',
  TargetRunFailed: '✘',
  TargetRunCancelled: '■',
  TargetRunNeedsAttention: '?',
}

/** Splits each target's output into lines, so that lines of two targets never mix. */
class Lines {
  readonly #rest = new Map<string, string>()
  readonly #decoders = new Map<string, TextDecoder>()

  take(key: string, bytes: Uint8Array): string[] {
    const decoder = this.#decoders.get(key) ?? new TextDecoder()
    this.#decoders.set(key, decoder)
    const lines = ((this.#rest.get(key) ?? '') + decoder.decode(bytes, { stream: true })).split('\n')
    this.#rest.set(key, lines.pop() ?? '')
    return lines
  }
  /** What came without a line end. */
  flush(): Array<[key: string, line: string]> {
    return [...this.#rest].filter(([, line]) => line !== '')
  }
}

/**
 * Shows a run as it happens: output on stdout, each line with the name of its target; progress on stderr.
 * Answers the exit code that stands for the run's result; a run that needs a person is not waited for.
 */
export async function followRun(client: Client, runId: string): Promise<number> {
  const shown = new Shown(runId, await namesOf(client, runId))
  const run = () => client.get<RunView>(`/v1/runs/${runId}`)
  for await (const { event, data } of client.events(`/v1/runs/${runId}/events`)) {
    if (event === 'output') shown.output(JSON.parse(data) as OutputData)
    else {
      const happened = JSON.parse(data) as RunEventData
      shown.happened(happened)
      // It may be long ago, and somebody has seen to it.
      if (happened.type === 'RunNeedsAttention' && (await run()).status === 'needs-attention') break
    }
  }
  shown.end()
  return summarise(await run())
}

class Shown {
  readonly #runId: string
  readonly #names: ReadonlyMap<number, string>
  readonly #lines = new Lines()
  readonly #progress = new ProgressLine(process.stderr.isTTY === true)
  #done = 0
  #failed = 0

  constructor(runId: string, names: ReadonlyMap<number, string>) {
    this.#runId = runId
    this.#names = names
  }

  output({ chunks }: OutputData): void {
    for (const chunk of chunks) {
      const key = `${chunk.n}:${chunk.stream}`
      const lines = this.#lines.take(key, Buffer.from(chunk.data, 'base64'))
      if (lines.length > 0) this.#progress.above(() => lines.forEach(line => void this.#say(key, line)))
    }
  }

  happened({ type, data }: RunEventData): void {
    const remark = this.#remark(type, data)
    if (remark !== undefined) this.#progress.above(() => note(plain(remark)))
    const mark = marks[type]
    if (!mark) return
    const total = this.#names.size
    if (type !== 'TargetRunNeedsAttention') this.#done += 1
    if (type === 'TargetRunFailed') this.#failed += 1
    const why = type === 'TargetRunSucceeded' ? [] : [data.class, data.detail].filter(part => part !== undefined)
    const name = this.#names.get(Number(data.n)) ?? data.n
    this.#progress.above(() =>
      note(`${mark} ${name}  ${this.#done}/${total}${plain(why.length > 0 ? `  ${why.join(' ')}` : '')}`),
    )
    this.#progress.set(this.#done, total, this.#failed)
  }

  /** What a person who watches has to know, and may have to do. */
  #remark(type: string, data: Record<string, unknown>): string | undefined {
    switch (type) {
      case 'ApprovalRequested':
        return `waits for approval: ${data.prompt}\n  opsconductor approval grant ${this.#runId} ${data.stepId}`
      case 'ApprovalDenied':
        return `approval denied: ${data.reason}`
      case 'ApprovalExpired':
        return `nobody approved ${data.stepId} in time`
      case 'RunPaused':
        return `paused; opsconductor run resume ${this.#runId}`
      case 'RunResumed':
        return 'resumed'
      case 'RunStopped':
        return `${data.failed} failed: nothing new begins`
      case 'RunNeedsAttention':
        return `needs a person: opsconductor run attention ${this.#runId}`
      case 'StepRetryScheduled':
        return `↻ ${this.#names.get(Number(data.n)) ?? data.n}  ${data.stepId}: ${data.detail}; again at ${data.notBefore}`
      default:
        return undefined
    }
  }

  end(): void {
    for (const [key, line] of this.#lines.flush()) this.#progress.above(() => this.#say(key, line))
    this.#progress.clear()
  }

  #say(key: string, line: string): void {
    const [n, stream] = key.split(':')
    const text = `${this.#names.get(Number(n)) ?? n} │ ${plain(line)}\n`
    if (stream === 'stderr') process.stderr.write(text)
    else process.stdout.write(text)
  }
}

async function namesOf(client: Client, runId: string): Promise<Map<number, string>> {
  const rows = await client.list<TargetRunView>(`/v1/runs/${runId}/target-runs`, {}, 10_000)
  return new Map(rows.map(row => [row.n, row.targetName ?? row.targetId]))
}

/** Says how a run ended; 0 only for a run that succeeded on every target. */
function summarise(run: RunView): number {
  const { succeeded, failed, cancelled, needsAttention } = run.counts
  const parts = [`${succeeded} succeeded`]
  if (failed) parts.push(`${failed} failed`)
  if (cancelled) parts.push(`${cancelled} cancelled`)
  if (needsAttention) parts.push(`${needsAttention} need attention`)
  note(`run ${run.runId} of ${plain(run.jobName)}: ${run.status} (${parts.join(', ')} of ${run.targets})`)
  if (!isRunOver(run.status)) note('the run is still going on')
  return resultCode(run.status)
}

function resultCode(status: string): number {
  if (status === 'succeeded') return exitCode.ok
  if (status === 'timed-out') return exitCode.timeout
  return status === 'rejected' || status === 'needs-attention' ? exitCode.conflict : exitCode.failed
}
