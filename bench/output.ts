import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { connectEventStore } from '../infra/event-store/client.ts'
import { type Recorded, streams } from '../schemas/events.ts'
import { startSshd } from '../test/support/sshd.ts'
import { type Emit, measurement } from './measurement.ts'
import { type Fleet, fleet, watchMemory } from './support/fleet.ts'
import { type Ending, ending } from './support/system.ts'

const GIGABYTE = 1 << 30
const PARTS = 64
/** `yes` repeats it with a line end. */
const LINE = '0123456789abcde'
const MOST_MEMORY_MB = 256
const MOST_LOG_BYTES = 1 << 20
const MOST_DELAY_MS = 1_000

type Sealed = { bytes: number; sha256: string; truncated: boolean }
type Chunk = { byteOffset: number; data: string }

/**
 * One step that prints 1 GB: what every process needs for it, what it adds to the log, whether the sealed digest is
 * that of what was printed (as much of it as is kept), and how far the live stream is behind the target's own clock.
 */
export async function run(emit: Emit, scale: number): Promise<void> {
  const t = ending()
  try {
    const sshd = await startSshd(t)
    const all = await fleet(t, { OPSCONDUCTOR_STEP_OUTPUT_MB: '1024' })
    const folder = mkdtempSync(path.join(tmpdir(), 'opsc-bench-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const clock = path.join(folder, 'clock')
    const part = Math.ceil((GIGABYTE * scale) / PARTS / (LINE.length + 1)) * (LINE.length + 1)
    const command = `i=0; while [ $i -lt ${PARTS} ]; do yes ${LINE} | head -c ${part}; date +%s%N >> ${clock}; i=$((i+1)); done`
    const jobId = await jobOn(all, sshd, command)
    const memory = watchMemory(t, all)
    const began = performance.now()
    const { id } = await all.api.command('trigger-run', { jobId })
    const seen = await follow(t, all, id)
    const { status } = await all.api.ended(id)
    const seconds = (performance.now() - began) / 1_000
    if (status !== 'succeeded') throw new Error(`the run ${status}`)
    const events = await eventsOf(all, id)
    const sealed = events.find(event => event.type === 'OutputSealed')?.data as Sealed
    if (sealed.sha256 !== digestOf(sealed.bytes)) throw new Error('the sealed digest is not that of what was printed')
    emit(measurement('output.printed', 'MB/s', [(part * PARTS) / 1e6 / seconds]))
    emit(measurement('output.kept', 'MB', [sealed.bytes / 1e6], (part * PARTS) / 1e6))
    emit(measurement('output.log-growth', 'bytes', [JSON.stringify(events, textOfBigInt).length], MOST_LOG_BYTES))
    emit(measurement('output.live-delay-at-most', 'ms', [delayAtMost(seen, clock, part)], MOST_DELAY_MS))
    emit(measurement('output.memory-of-largest', 'MB', [memory.largest()], MOST_MEMORY_MB))
    memory.report(emit, 'output')
  } finally {
    await t.end()
  }
}

async function jobOn({ api }: Fleet, sshd: Awaited<ReturnType<typeof startSshd>>, command: string): Promise<string> {
  const secret = { kind: 'ssh-key', privateKey: sshd.privateKey }
  const credential = await api.command('create-credential', { name: 'bench', username: sshd.username, secret })
  const { host: address, port, hostKey } = sshd
  const reached = { address, port, hostKey, hostKeyPolicy: 'pinned', credentialId: credential.id }
  const target = await api.command('create-target', { name: 'talkative', ...reached })
  const steps = [{ id: 'print', uses: 'ssh.command', with: { command } }]
  return (await api.command('define-job', { name: 'print', steps, selection: { targetIds: [target.id] } })).id
}

/** Follows the live stream to its end; when which offset had arrived, in order. */
async function follow(t: Ending, { url, apiKey }: Fleet, runId: string): Promise<Array<{ end: number; at: number }>> {
  const seen: Array<{ end: number; at: number }> = []
  const headers = { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream' }
  const response = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
    const ask = () => {
      const request = get(`${url}/v1/runs/${runId}/events`, { headers }, answer => {
        if (answer.statusCode === 200) return resolve(answer)
        // The run may not have reached the read models yet.
        answer.resume()
        setTimeout(ask, 5)
      })
      request.on('error', reject)
      t.teardown(() => request.destroy())
    }
    ask()
  })
  for await (const line of createInterface(response)) {
    if (!line.startsWith('data: ') || !line.includes('"byteOffset"')) continue
    const { chunks } = JSON.parse(line.slice(6)) as { chunks: Chunk[] }
    const last = chunks.at(-1)
    if (last) seen.push({ end: last.byteOffset + Buffer.byteLength(last.data, 'base64'), at: Date.now() })
  }
  return seen
}

/** From when the target had printed a part until the stream had shown all of it; of the parts that are kept. */
function delayAtMost(seen: ReadonlyArray<{ end: number; at: number }>, clock: string, part: number): number {
  const printed = readFileSync(clock, 'utf8')
    .trim()
    .split('\n')
    .map(text => Number(BigInt(text) / 1_000_000n))
  const delays = printed.flatMap((at, i) => {
    const shown = seen.find(({ end }) => end >= (i + 1) * part)
    return shown ? [shown.at - at] : []
  })
  if (delays.length === 0) throw new Error('the live stream showed nothing')
  return Math.max(...delays)
}

function digestOf(bytes: number): string {
  const block = Buffer.from(`${LINE}\n`.repeat(1 << 16))
  const hash = createHash('sha256')
  for (let left = bytes; left > 0; left -= block.length) hash.update(block.subarray(0, Math.min(left, block.length)))
  return hash.digest('hex')
}

async function eventsOf({ eventStoreUrl }: Fleet, runId: string): Promise<Recorded[]> {
  const store = connectEventStore(eventStoreUrl)
  try {
    const read = [streams.run(runId), streams.targetRun(runId, 0), streams.release(runId, 0)].map(each =>
      store.read(each),
    )
    return (await Promise.all(read)).flatMap(({ events }) => events)
  } finally {
    await store.close()
  }
}

const textOfBigInt = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
