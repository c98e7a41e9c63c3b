import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { type Bus, connectBus, publishJson, subscribeJson } from '../../infra/bus.ts'
import { hpkeSeal, releaseInfo } from '../../infra/hpke.ts'
import { releaseSignedText, verifySignature } from '../../infra/identity.ts'
import { systemIds } from '../../infra/ids.ts'
import {
  ARTIFACT_CHUNK_BYTES,
  type Assignment,
  artifactGet,
  artifactPut,
  type HeartbeatReply,
  heartbeat,
  heartbeatHeaders,
  type OutputChunk,
  outputBatch,
  type PullReply,
  pullRequest,
  type ReleaseRequest,
  type ReportMessage,
  type ReportReply,
  releaseRequest,
  reportMessage,
  subjects,
} from '../../schemas/bus.ts'
import type { UsableSecret } from '../../schemas/credential.ts'

type Test = { teardown(handler: () => Promise<void>): unknown }
type Claim = { runId: string; n: number; epoch: number }
export type Report = ReportMessage['report']
type DataOf<T extends Report['type']> = Extract<Report, { type: T }>['data']

/** The other side of an executor's protocol, in the hand of a spec: gives out work, takes reports, releases secrets. */
export type TestControlPlane = {
  /** Gives the work to whoever asks next. */
  assign(assignment: Assignment): void
  /** Resolves with the first report, past or future, that fits. */
  report<T extends Report['type']>(type: T, of: Claim): Promise<DataOf<T>>
  reports: ReportMessage[]
  chunks: OutputChunk[]
  /** Text of what one stream of a step printed. */
  text(of: Claim, stream?: 'stdout' | 'stderr'): string
  releases: ReleaseRequest[]
  /** How often somebody asked for work. */
  pulls: number
  heartbeats: Array<{ instanceId: string; active: Claim[] }>
  cancel(of: Claim): void
  /** Stops a step if it is the one that runs. */
  cancelStep(of: Claim, stepId: string): void
  /** What the artifact store holds, by SHA-256. */
  artifacts: Map<string, Buffer>
  /** Called before a chunk is taken or given. */
  onArtifactChunk: (index: number) => void
  /** Answers a report differently; undefined falls back to `recorded`, 'silence' gives none. */
  answer: (message: ReportMessage) => ReportReply | 'silence' | undefined
  /** What the vault gives; throwing refuses. */
  secret: (request: ReleaseRequest) => UsableSecret
  /** Stored output is acknowledged while this is true. */
  storesOutput: boolean
  answersHeartbeats: boolean
  /** What heartbeats are told beside that, as by a control plane that does; undefined for an older one. */
  standing: { session: string; asking: 'yes' | 'no' } | undefined
  /** As when it has been started again. */
  hello(): void
  /** What a heartbeat is answered with instead of nothing to stop. */
  onHeartbeat: (() => HeartbeatReply) | undefined
  /** Resolves when the condition holds, looked at after every message. */
  until(condition: () => boolean, what: string): Promise<void>
  bus: Bus
}

const WAIT_MS = 20_000

export async function startControlPlane(
  t: Test,
  options: { url: string; executorId: string; secret: UsableSecret },
): Promise<TestControlPlane> {
  const bus = await connectBus({ url: options.url, name: 'spec', log: pino({ level: 'silent' }) })
  t.teardown(() => bus.close())
  const waiting: Assignment[] = []
  // Only the newest request counts: whoever sent the one before has given it up or is no more.
  let asking: ((reply: PullReply) => void) | undefined
  const listeners = new Set<() => void>()
  const changed = () => {
    for (const listener of [...listeners]) listener()
  }
  const give = () => {
    const next = asking && waiting.shift()
    if (next) asking?.({ assignments: [next] })
  }
  const self: TestControlPlane = {
    ...{
      reports: [],
      chunks: [],
      releases: [],
      artifacts: new Map(),
      pulls: 0,
      heartbeats: [],
      storesOutput: true,
      answersHeartbeats: true,
      bus,
    },
    answer: () => undefined,
    onArtifactChunk: () => undefined,
    onHeartbeat: undefined,
    standing: undefined,
    hello: () => publishJson(bus, subjects.control(options.executorId), { kind: 'hello' }),
    secret: () => options.secret,
    assign: assignment => {
      waiting.push(assignment)
      give()
    },
    report: async <T extends Report['type']>(type: T, of: Claim) => {
      const fits = (message: ReportMessage) => message.report.type === type && isOf(message.report.data, of)
      await self.until(() => self.reports.some(fits), `${type} of ${of.runId}`)
      // Just checked to be of that type.
      return self.reports.find(fits)?.report.data as DataOf<T>
    },
    text: (of, stream = 'stdout') =>
      Buffer.concat(
        self.chunks
          .filter(chunk => isOf(chunk, of) && chunk.stream === stream)
          .sort((a, b) => a.seq - b.seq)
          .map(chunk => Buffer.from(chunk.data, 'base64')),
      ).toString(),
    cancel: ({ runId, n, epoch }) =>
      bus.publish(subjects.control(options.executorId), JSON.stringify({ kind: 'cancel', runId, n, epoch })),
    cancelStep: ({ runId, n, epoch }, stepId) =>
      publishJson(bus, subjects.control(options.executorId), { kind: 'cancel-step', runId, n, epoch, stepId }),
    until: async (condition, what) => {
      const stop = new AbortController()
      const holds = new Promise<'holds'>(resolve => {
        const check = () => condition() && resolve('holds')
        listeners.add(check)
        stop.signal.addEventListener('abort', () => listeners.delete(check))
        check()
      })
      const late = delay(WAIT_MS, 'late' as const, { signal: stop.signal }).catch(() => 'late' as const)
      const first = await Promise.race([holds, late])
      stop.abort()
      if (first === 'late') {
        const seen = self.reports.map(message => JSON.stringify(message.report)).join('\n')
        throw new Error(`not in ${WAIT_MS / 1000} s: ${what}; reports so far:\n${seen}`)
      }
    },
  }
  let publicKey = ''
  subscribeJson(bus, subjects.pullAll, pullRequest, (request, message) => {
    publicKey = request.publicKey
    self.pulls += 1
    const answer = (reply: PullReply) => {
      if (asking === answer) asking = undefined
      clearTimeout(timer)
      message.reply(JSON.stringify(reply))
    }
    const timer = setTimeout(() => answer({ assignments: [] }), request.waitMs).unref()
    asking = answer
    give()
    changed()
  })
  subscribeJson(bus, subjects.heartbeatAll, heartbeat, ({ instanceId, active }, message) => {
    self.heartbeats.push({ instanceId, active })
    changed()
    if (!self.answersHeartbeats) return
    const { standing } = self
    const headers = standing && {
      [heartbeatHeaders.session]: standing.session,
      [heartbeatHeaders.asking]: standing.asking,
    }
    message.reply(JSON.stringify(self.onHeartbeat?.() ?? { cancel: [], forget: [] }), headers)
  })
  subscribeJson(bus, subjects.reportAll, reportMessage, message => {
    const answer = self.answer(message)
    if (answer !== 'silence' && !self.reports.some(each => each.reportId === message.reportId)) {
      self.reports.push(message)
    }
    changed()
    return answer === 'silence' ? undefined : (answer ?? { status: 'recorded' })
  })
  subscribeJson(bus, subjects.outputAll, outputBatch, ({ chunks }) => {
    if (!self.storesOutput) return undefined
    for (const chunk of chunks) {
      const known = self.chunks.some(
        each => isOf(each, chunk) && each.stepId === chunk.stepId && each.seq === chunk.seq,
      )
      if (!known) self.chunks.push(chunk)
    }
    changed()
    return { stored: chunks.length }
  })
  subscribeJson(bus, subjects.vaultRelease, releaseRequest, async request => {
    self.releases.push(request)
    changed()
    if (!verifySignature(publicKey, releaseSignedText(request), request.signature)) {
      return { error: 'wrong-signature', detail: 'the signature is not that of the executor' }
    }
    try {
      const secret = Buffer.from(JSON.stringify(self.secret(request)))
      return hpkeSeal(request.ephemeralKey, releaseInfo(request), secret)
    } catch (error) {
      return { error: 'revoked', detail: error instanceof Error ? error.message : 'refused' }
    }
  })
  keepArtifacts(bus, self)
  await bus.flush()
  return self
}

/** An artifact store in memory. */
function keepArtifacts(bus: Bus, self: Pick<TestControlPlane, 'artifacts' | 'onArtifactChunk'>): void {
  const { artifacts } = self
  const uploads = new Map<string, Buffer[]>()
  subscribeJson(bus, subjects.artifactPutAll, artifactPut, put => {
    const chunks = uploads.get(put.uploadId) ?? []
    uploads.set(put.uploadId, chunks)
    if (put.kind === 'chunk') self.onArtifactChunk(put.index)
    if (put.kind === 'chunk') chunks[put.index] = Buffer.from(put.data, 'base64')
    else {
      const whole = Buffer.concat(chunks)
      if (createHash('sha256').update(whole).digest('hex') !== put.sha256)
        return { error: 'mismatch', detail: 'differs' }
      artifacts.set(put.sha256, whole)
    }
    return { stored: true }
  })
  subscribeJson(bus, subjects.artifactGetAll, artifactGet, ({ sha256, index }) => {
    self.onArtifactChunk(index)
    const whole = artifacts.get(sha256)
    if (!whole) return { error: 'not-found', detail: 'there is no such artifact' }
    const data = whole.subarray(index * ARTIFACT_CHUNK_BYTES, (index + 1) * ARTIFACT_CHUNK_BYTES)
    return { bytes: whole.length, data: data.toString('base64') }
  })
}

const isOf = (data: Claim, of: Claim) => data.runId === of.runId && data.n === of.n && data.epoch === of.epoch

/** An assignment with what a spec does not care about filled in. */
export function assignmentOf(
  of: Partial<Omit<Assignment, 'target' | 'steps'>> & {
    target: Partial<Assignment['target']> & Pick<Assignment['target'], 'address' | 'port'>
    steps: Assignment['steps']
    username?: string
  },
): Assignment {
  const { target, username = 'nobody', ...rest } = of
  return {
    ...{ runId: systemIds.next(), n: 0, epoch: 1, leaseSeconds: 5, attempts: {} },
    safety: { targets: 1, confirmed: [] },
    credential: { credentialId: systemIds.next(), version: 1, kind: 'ssh-key', username },
    ...rest,
    target: { targetId: systemIds.next(), name: 'web-1', hostKey: { policy: 'first-use' }, ...target },
  }
}
