import { deciders, fold, type TargetRun } from '../../command-api/domain/index.ts'
import { planOf } from '../../command-api/domain/workflow/index.ts'
import { rulesOf } from '../../command-api/domain/workflow/plan.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Commands } from '../../reactors/commands.ts'
import type { ActiveRun } from '../../reactors/runs/active-run.ts'
import { ActiveRuns } from '../../reactors/runs/active-runs.ts'
import { type AnyEvent, streams } from '../../schemas/events.ts'
import type { OutputValue } from '../../schemas/expression.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'
import { History } from './history.ts'

type Requested = Extract<AnyEvent, { type: 'RunRequested' }>['data']
type Target = { tags?: Record<string, string>; credentialId?: string; gone?: boolean }
export type Given = {
  version: JobVersion
  targets: readonly Target[]
  request?: Partial<Requested>
  /** How many versions each credential has, by its id; 0 is one that is revoked. */
  credentials?: Readonly<Record<string, number>>
  /** What whoever asked for the run may not use any more, by its id. */
  lost?: readonly string[]
}

export const runId = derivedId('run', 'nightly')
export const NOW = '2030-01-01T00:00:00.000Z'
const AT = '2029-12-31T23:59:00.000Z'
export const targetId = (n: number) => derivedId('target', n)
const sealed = { kekId: 'kek-1', fingerprint: 'ab'.repeat(32), ciphertextDigest: 'cd'.repeat(32) }
const output = { bytes: 0, chunks: 0, sha256: 'ab'.repeat(32), truncated: false }

/** A run as the log tells it, with what the dispatcher looks up of its job, targets and credentials. */
export function dispatching(given: Given) {
  const { version, targets, request = {}, credentials = {}, lost = [] } = given
  const history = new History()
  const runs = new ActiveRuns(undefined)
  const onTargets = new Map<string, TargetRun>()
  const parameters = request.parameters ?? {}
  const rules = rulesOf(version, parameters)
  const tell = (event: AnyEvent) => {
    const recorded = history.record(event)
    runs.apply(recorded)
    if (!recorded.stream.startsWith('targetrun-')) return
    const before = onTargets.get(recorded.stream) ?? deciders.targetRun.initial
    // The stream says whose event it is.
    onTargets.set(recorded.stream, deciders.targetRun.evolve(before, event as TargetRunEvent))
  }
  const { jobId } = version
  const initiator = { kind: 'user', id: 'anna' } as const
  const chosen = { jobId, jobVersion: version.version, jobName: 'nightly', selection: { labels: 'env=prod' } }
  const plan = planOf(version, parameters)
  tell({ type: 'RunRequested', data: { runId, ...chosen, targets: targets.length, initiator, plan, ...request } })
  tell({ type: 'TargetsResolved', data: { runId, from: 0, targetIds: targets.map((_, n) => targetId(n)) } })
  tell({ type: 'RunStarted', data: { runId } })
  let looked = 0
  const commands: Pick<Commands, 'known' | 'active' | 'lacks' | 'catalogue'> = {
    catalogue: () => Promise.reject(new Error('nothing was agreed to')),
    lacks: async (_request, { permission, resource }) =>
      lost.includes(resource.id) ? `needs ${permission} on the ${resource.kind} ${resource.id}` : undefined,
    known: async (_name, stream) => (known.get(stream) ?? { status: 'absent' }) as never,
    active: async stream => {
      looked += 1
      return onTargets.get(stream) ?? deciders.targetRun.initial
    },
  }
  const known = new Map<string, unknown>([[streams.job(jobId), jobOf(version)]])
  for (const [n, target] of targets.entries()) known.set(streams.target(targetId(n)), targetOf(n, target))
  for (const [id, versions] of Object.entries(credentials))
    known.set(streams.credential(id), credentialOf(id, versions))
  const run = runs.get(runId)
  if (!run) throw new Error('the run is not active')
  const place = (n: number) => ({ runId, n })
  return { commands, run, tell, place, ...short(run, tell, rules), looked: () => looked }
}

/** Short ways to say what happened on one target, each in an epoch of its own. */
function short(run: ActiveRun, tell: (event: AnyEvent) => void, steps: ReturnType<typeof rulesOf>) {
  const claim = (n: number, ...due: string[]) => {
    const epoch = run.lastEpoch(n) + 1
    const executor = { executorId: 'east-1', executorKey: 'k'.repeat(43), deadline: NOW }
    const target = { name: `web-${n}`, address: '10.0.0.1', port: 22 }
    const data = { runId, n, targetId: targetId(n), epoch, ...executor, steps, due, target }
    tell({ type: 'TargetRunClaimed', data })
    return epoch
  }
  const ended = (n: number, stepId: string, epoch: number) => {
    tell({ type: 'StepStarted', data: { runId, n, stepId, attempt: 1, epoch, at: AT } })
    return { runId, n, stepId, attempt: 1, epoch, seq: 1, at: AT, output }
  }
  const succeed = (n: number, stepId: string, outputs: Record<string, OutputValue> = {}) =>
    tell({ type: 'StepSucceeded', data: { ...ended(n, stepId, claim(n, stepId)), exitCode: 0, outputs } })
  const fail = (n: number, stepId: string, then: readonly string[] = []) => {
    const why = { class: 'exit-nonzero', detail: 'exit code 3' } as const
    tell({ type: 'StepFailed', data: { ...ended(n, stepId, claim(n, stepId)), ...why, exitCode: 3 } })
    if (then.length > 0) tell({ type: 'CompensationStarted', data: { runId, n, steps: [...then], ...why } })
    else tell({ type: 'TargetRunFailed', data: { runId, n, targetId: targetId(n), ...why } })
  }
  const over = (n: number) => tell({ type: 'TargetRunSucceeded', data: { runId, n, targetId: targetId(n) } })
  return { claim, succeed, fail, over }
}

function jobOf({ jobId, ...version }: JobVersion) {
  return fold(deciders.job, [
    { type: 'JobDefined', data: { jobId, name: 'nightly' } },
    { type: 'JobVersionPublished', data: { jobId, ...version } },
  ])
}

function targetOf(n: number, { tags = {}, credentialId, gone }: Target) {
  const described = { name: `web-${n}`, address: '10.0.0.1', port: 22, platform: 'linux', hostKeyPolicy: 'first-use' }
  const data = { targetId: targetId(n), ...described, tags, ...(credentialId && { credentialId }) }
  return fold(deciders.target, [
    { type: 'TargetRegistered', data } as Parameters<typeof deciders.target.evolve>[1],
    ...(gone ? [{ type: 'TargetDecommissioned' as const, data: { targetId: targetId(n), reason: 'old' } }] : []),
  ])
}

function credentialOf(credentialId: string, versions: number) {
  const added = Array.from({ length: Math.max(1, versions) }, (_, i) => i + 1)
  return fold(deciders.credential, [
    { type: 'CredentialCreated', data: { credentialId, name: 'deploy', username: 'deploy', kind: 'password' } },
    ...added.map(version => ({
      type: 'CredentialVersionAdded' as const,
      data: { credentialId, version, kind: 'password' as const, sealId: credentialId, ...sealed },
    })),
    ...(versions === 0 ? [{ type: 'CredentialRevoked' as const, data: { credentialId, reason: 'leaked' } }] : []),
  ])
}
