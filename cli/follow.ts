import { TextDecoder } from 'node:util'
import type { Client } from './client.ts'
import { exitCode } from './errors.ts'
import { note, plain } from './output.ts'

type Counts = { succeeded: number; failed: number; cancelled: number; needsAttention: number }
type RunView = { runId: string; jobName: string; status: string; targets: number; counts: Counts }
type TargetRunView = {
  n: number
  targetName: string | null
  status: string
  failure: string | null
  detail: string | null
}
type RunEventData = { type: string; data: Record<string, unknown> }
type OutputData = { chunks: Array<{ n: number; stream: 'stdout' | 'stderr'; data: string }> }

const ended = new Set(['succeeded', 'partially-succeeded', 'failed', 'cancelled', 'needs-attention'])
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
 * Answers the exit code that stands for the run's result.
 */
export async function followRun(client: Client, runId: string): Promise<number> {
  const names = await namesOf(client, runId)
  const lines = new Lines()
  const total = names.size
  let done = 0
  const say = (key: string, line: string) => {
    const [n, stream] = key.split(':')
    const text = `${names.get(Number(n)) ?? n} │ ${plain(line)}`
    if (stream === 'stderr') process.stderr.write(`${text}\n`)
    else process.stdout.write(`${text}\n`)
  }
  for await (const { event, data } of client.events(`/v1/runs/${runId}/events`)) {
    if (event === 'output') {
      for (const chunk of (JSON.parse(data) as OutputData).chunks) {
        const key = `${chunk.n}:${chunk.stream}`
        for (const line of lines.take(key, Buffer.from(chunk.data, 'base64'))) say(key, line)
      }
      continue
    }
    const { type, data: fact } = JSON.parse(data) as RunEventData
    const mark = marks[type]
    if (!mark) continue
    done += 1
    const why = type === 'TargetRunSucceeded' ? '' : `  ${fact.class ?? ''} ${fact.detail ?? ''}`
    note(`${mark} ${names.get(Number(fact.n)) ?? fact.n}  ${done}/${total}${plain(why).trimEnd()}`)
  }
  for (const [key, line] of lines.flush()) say(key, line)
  return summarise(await client.get<RunView>(`/v1/runs/${runId}`))
}

async function namesOf(client: Client, runId: string): Promise<Map<number, string>> {
  const rows = await client.list<TargetRunView & { targetId: string }>(`/v1/runs/${runId}/target-runs`, {}, 10_000)
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
  if (!ended.has(run.status)) note('the run is still going on')
  return run.status === 'succeeded' ? exitCode.ok : exitCode.failed
}
