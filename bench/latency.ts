import { get, type IncomingMessage } from 'node:http'
import { startSshd } from '../test/support/sshd.ts'
import { type Emit, measurement } from './measurement.ts'
import { benchApi } from './support/api.ts'
import { type BenchSystem, benchSystem, ending } from './support/system.ts'

const WARM_UP = 10
const RUNS = 50

/** From sending trigger-run to the first byte of its output at a client of the live stream; the connection is warm. */
export async function run(emit: Emit): Promise<void> {
  const t = ending()
  try {
    const sshd = await startSshd(t)
    const system = await benchSystem(t)
    const api = benchApi(system)
    const secret = { kind: 'ssh-key', privateKey: sshd.privateKey }
    const credential = await api.command('create-credential', { name: 'bench', username: sshd.username, secret })
    const { host: address, port, hostKey } = sshd
    const reached = { address, port, hostKey, hostKeyPolicy: 'pinned', credentialId: credential.id }
    const target = await api.command('create-target', { name: 'warm', ...reached })
    const steps = [{ id: 'hello', uses: 'ssh.command', with: { command: 'echo hello' } }]
    const job = await api.command('define-job', { name: 'hello', steps, selection: { targetIds: [target.id] } })
    const times: number[] = []
    for (let i = 0; i < WARM_UP + RUNS; i++) {
      const milliseconds = await triggerToOutput(system, job.id, api.command)
      if (i >= WARM_UP) times.push(milliseconds)
    }
    report(emit, times)
  } finally {
    await t.end()
  }
}

async function triggerToOutput(
  { url, apiKey }: BenchSystem,
  jobId: string,
  command: ReturnType<typeof benchApi>['command'],
): Promise<number> {
  const began = performance.now()
  const { id } = await command('trigger-run', { jobId })
  const stream = await open(`${url}/v1/runs/${id}/events`, apiKey)
  const first = await firstOutput(stream, began)
  // To the end, so that the next run finds the connection free.
  await new Promise<void>(resolve => stream.on('end', resolve).on('close', resolve).resume())
  return first
}

function open(url: string, apiKey: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream' }
    get(url, { headers }, response => {
      // The run may not have reached the read models yet: the stream is asked for again.
      if (response.statusCode === 200) return resolve(response)
      response.resume()
      setTimeout(() => open(url, apiKey).then(resolve, reject), 5)
    }).on('error', reject)
  })
}

function firstOutput(stream: IncomingMessage, began: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = ''
    stream.setEncoding('utf8').on('data', function look(chunk: string) {
      text += chunk
      if (!text.includes('event: output')) return
      stream.off('data', look)
      resolve(performance.now() - began)
    })
    stream.once('end', () => reject(new Error(`the stream ended without output:\n${text}`)))
  })
}

function report(emit: Emit, times: number[]): void {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  emit({ ...measurement('latency.trigger-to-output.p50', 'ms', times), value: at(0.5) })
  emit({ ...measurement('latency.trigger-to-output.p95', 'ms', times), value: at(0.95) })
}
