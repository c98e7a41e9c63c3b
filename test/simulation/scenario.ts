import { derivedId } from '../../infra/ids.ts'
import type { JobVersion, Strategy } from '../../schemas/job.ts'
import { type Step, stepSchema } from '../../schemas/steps/index.ts'
import type { Random } from '../crash/random.ts'

export type PlannedRun = { runId: string; jobId: string; targetIds: string[]; atMs: number }
export type Scenario = {
  jobs: JobVersion[]
  targets: Array<{ targetId: string; name: string; rack: string }>
  runs: PlannedRun[]
  executors: Array<{ id: string; pool: string }>
  /** Two dispatchers may believe at once that they are the active one. */
  twoDispatchers: boolean
  /** What the reactors tell executors at once never arrives: they hear of it with their next heartbeat. */
  losesControl: boolean
  /** How many things go wrong. */
  faults: number
  /** Whatever is written may be what something goes wrong right after. */
  strikes: boolean
}

const RUNS_WITHIN_MS = 10_000
export const credentialId = derivedId('credential', 'deploy')
const chance = (random: Random, of: number) => random.next() < of
const int = (random: Random, min: number, max: number) => Math.floor(random.between(min, max + 1))

/** What is to be done in a world, and on what: everything follows from the random numbers. */
export function scenario(random: Random, seed: number): Scenario {
  const targets = Array.from({ length: int(random, 1, 6) }, (_, i) => ({
    ...{ targetId: derivedId('target', i), name: `web-${i}`, rack: random.pick(['a', 'b']) },
  }))
  const jobs = chance(random, 0.08) ? crossed(targets) : []
  const [first, second] = jobs.length > 0 ? jobs.slice(-2) : []
  for (let i = first ? 0 : int(random, 1, 3); i > 0; i -= 1) {
    const some = random.some(targets, int(random, 1, 2)).map(({ targetId }) => targetId)
    jobs.push({ ...jobVersion(random, derivedId('job', jobs.length), jobs), selection: { targetIds: some } })
  }
  const runs = Array.from({ length: int(random, 1, 4) }, (_, i) => ({
    runId: derivedId('run', seed, i),
    jobId: random.pick(jobs).jobId,
    targetIds: random.some(targets, int(random, 1, targets.length)).map(({ targetId }) => targetId),
    atMs: chance(random, 0.5) ? 0 : random.next() * RUNS_WITHIN_MS,
  }))
  if (first && second)
    for (const [i, { jobId }] of [first, second].entries()) {
      const targetIds = [targets[i]?.targetId ?? '']
      runs.push({ runId: derivedId('run', seed, 'crossed', i), jobId, targetIds, atMs: random.next() * 400 })
    }
  const executors = Array.from({ length: random.pick([1, 2, 2, 3]) }, (_, i) => ({ id: `east-${i}`, pool: 'default' }))
  if (jobs.some(job => job.pool === 'west')) executors.push({ id: 'west-0', pool: 'west' })
  const faults = chance(random, 0.1) ? 0 : int(random, 1, 12)
  const [twoDispatchers, losesControl] = [chance(random, 0.25), chance(random, 0.25)]
  return { jobs, targets, runs, executors, twoDispatchers, losesControl, faults, strikes: chance(random, 0.5) }
}

/** Two jobs that each have a target and run another job on that of the other. */
function crossed(targets: Scenario['targets']): JobVersion[] {
  const [here, there] = targets
  if (!here || !there) return []
  const job = (name: string, target: typeof here, steps: Step[]): JobVersion => ({
    ...{ jobId: derivedId('job', name), version: 1, digest: 'ab'.repeat(32), credentialId, steps },
    ...{ strategy: { pace: 'free' }, access: 'exclusive', selection: { targetIds: [target.targetId] } },
  })
  const plain = (id = 's0'): Step => stepSchema.parse(shell(id, 'restart'))
  const below = [job('below-here', here, [plain()]), job('below-there', there, [plain()])] as const
  const runs = ({ jobId }: JobVersion): Step => stepSchema.parse({ id: 's1', uses: 'job.run', with: { jobId } })
  // It keeps its target because something is left to be done there.
  const steps = (other: JobVersion) => [plain(), runs(other), plain('s2')]
  const above = [job('here', here, steps(below[1])), job('there', there, steps(below[0]))]
  return [...below, ...above]
}

function jobVersion(random: Random, jobId: string, others: readonly JobVersion[]): JobVersion {
  const optional = <T>(of: number, value: () => T) => (chance(random, of) ? value() : undefined)
  const pace = random.pick(['free', 'free', 'linear'] as const)
  const steps: Step[] = []
  for (let i = int(random, 1, 4); i > 0; i -= 1) steps.push(step(random, steps, others))
  return {
    ...{ jobId, version: 1, digest: 'ab'.repeat(32), credentialId, steps },
    strategy: strategy(random, pace),
    onFailure: optional(0.25, () => [stepSchema.parse(shell('mop-up', 'rm -rf /tmp/deploy'))]),
    maxParallel: optional(0.3, () => int(random, 1, 2)),
    overlap: optional(0.35, () => random.pick(['allow', 'queue', 'skip', 'cancel-previous'] as const)),
    priority: optional(0.3, () => int(random, 0, 9)),
    pool: optional(0.15, () => 'west'),
    access: optional(0.5, () => random.pick(['exclusive', 'shared'] as const)),
    approval: optional(0.15, () => ({
      prompt: 'may it?',
      quorum: int(random, 1, 2),
      expiresSeconds: int(random, 10, 40),
    })),
    timeouts: optional(0.2, () => ({
      targetRunSeconds: optional(0.5, () => int(random, 6, 20)),
      runSeconds: optional(0.5, () => int(random, 10, 40)),
    })),
  }
}

function strategy(random: Random, pace: 'free' | 'linear'): Strategy {
  return {
    pace,
    batches: chance(random, 0.3) ? random.pick([[1], [1, 2], [2], ['50%'], [1, '50%']]) : undefined,
    maxFailures: chance(random, 0.3) ? random.pick([0, 1, '30%']) : undefined,
    serialBy: chance(random, 0.2) ? 'rack' : undefined,
    order: chance(random, 0.2) ? random.pick(['reversed', 'shuffled']) : undefined,
  }
}

const shell = (id: string, command: string) => ({ id, uses: 'ssh.command', with: { command } })

function step(random: Random, before: readonly Step[], others: readonly JobVersion[]): Step {
  const id = `s${before.length}`
  const kind = random.next()
  if (kind < 0.1) return stepSchema.parse({ id, uses: 'wait.time', with: { seconds: 0.5 + random.next() * 4 } })
  if (kind < 0.2) {
    const ask = { prompt: 'go on?', quorum: int(random, 1, 2), expiresSeconds: int(random, 10, 40) }
    return stepSchema.parse({ id, uses: 'approval', with: ask })
  }
  if (kind < 0.28 && others.length > 0) {
    const run = { jobId: random.pick(others).jobId, sameTargets: chance(random, 0.7) }
    return stepSchema.parse({ id, uses: 'job.run', with: run })
  }
  return stepSchema.parse({ ...onTargets(random, id, before), ...options(random, id) })
}

/** Every plain step gives its value, so that any later one may ask for it. */
function onTargets(random: Random, id: string, before: readonly Step[]): object {
  const outputs = { value: { as: 'text' } }
  const plain = before.filter(({ uses }) => uses === 'ssh.command')
  const earlier = plain.length > 0 ? random.pick(plain).id : undefined
  const kind = random.next()
  if (kind < 0.15 && earlier) return { ...shell(id, `seen \${{ size(all["${earlier}"].outputs.value) }}`), outputs }
  if (kind < 0.3 && earlier)
    return { ...shell(id, 'restart'), outputs, if: `steps["${earlier}"].outcome == "succeeded"` }
  if (kind < 0.4) return { ...shell(id, 'install ${{ item }}'), outputs, forEach: ['x', 'y'] }
  if (kind < 0.5) return { id, uses: 'noop', outputs }
  return { ...shell(id, 'restart'), outputs }
}

function options(random: Random, id: string): object {
  const kind = random.next()
  return {
    ...(kind < 0.25 && { idempotent: true }),
    ...(kind > 0.8 && { check: 'test -e /var/lib/done' }),
    ...(chance(random, 0.3) && { retry: { attempts: int(random, 2, 3), delaySeconds: 0.5 + random.next() * 2 } }),
    ...(chance(random, 0.15) && { continueOnError: true }),
    ...(chance(random, 0.3) && { undo: { uses: 'ssh.command', with: { command: `undo ${id}` } } }),
    ...(chance(random, 0.1) && { on: { labels: 'rack=a' } }),
  }
}
