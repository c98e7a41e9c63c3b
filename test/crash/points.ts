import { setTimeout as delay } from 'node:timers/promises'
import type { Recorded } from '../../schemas/events.ts'
import { categoryOf } from '../../schemas/events.ts'
import { type Deployment, type Executor, executors, type LineName, type ServiceName } from '../support/deployment.ts'
import type { Direction, ProxyLine } from '../support/proxy.ts'
import { readEffects } from './effects.ts'
import type { LogWatch } from './log-watch.ts'
import type { Random } from './random.ts'

export type Scene = {
  deployment: Deployment
  watch: LogWatch
  /** Between the executors and each target. */
  ssh: ReadonlyMap<string, ProxyLine>
  effectsFile: string
  random: Random
}
/** Resolves with who is to be killed once the moment has come; undefined when it does not come in time. */
export type Point = { name: string; reach(scene: Scene, signal: AbortSignal): Promise<ServiceName | undefined> }

type EventType = Recorded['type']
const LOOK_MS = 5
const OUTCOMES: readonly EventType[] = ['StepSucceeded', 'StepFailed', 'StepAttemptFailed']
/** What the reactors decide by themselves. */
const DECISIONS: readonly EventType[] = [
  ...(['RunStarted', 'RunSucceeded', 'RunPartiallySucceeded', 'RunFailed', 'RunCancelled'] as const),
  ...(['StepWaitStarted', 'StepWaitEnded', 'LeaseExpired'] as const),
]
const COMMIT_OF_CHECKPOINT = 'move_checkpoint'

/** What passes on these lines is held; then what fits is in the log, and the victim dies before anybody was told. */
function untold(
  name: string,
  victim: ServiceName,
  held: ReadonlyArray<[LineName, Direction]>,
  fits: (event: Recorded) => boolean,
): Point {
  return {
    name,
    async reach({ deployment, watch }, signal) {
      for (const [line, direction] of held) deployment.line(line).rule(direction, 'hold')
      return (await watch.next(fits, signal)) && victim
    },
  }
}

/** The same for what one executor works on. */
function unheard(name: string, types: readonly EventType[]): Point {
  return {
    name,
    async reach({ deployment, watch, random }, signal) {
      const executor = random.pick(executors)
      deployment.line(`${executor} broker`).rule('back', 'hold')
      const fits = (event: Recorded) => types.includes(event.type) && watch.claimOf(event)?.executorId === executor
      return (await watch.next(fits, signal)) && executor
    },
  }
}

const isOf = (types: readonly EventType[]) => (event: Recorded) => types.includes(event.type)
const asked = ({ stream, metadata }: Recorded) => metadata.actor.kind === 'api-key' && categoryOf(stream) !== 'command'

/** The moments at which a system like this one breaks its promises, each made to happen from outside. */
export const points: readonly Point[] = [
  untold('api: command appended, append not acknowledged', 'api', [['api event-store', 'back']], asked),
  untold(
    'workers: decision appended, append not acknowledged',
    'workers',
    [['workers event-store', 'back']],
    isOf(DECISIONS),
  ),
  untold(
    'workers: claim appended, executor not told',
    'workers',
    [['workers broker', 'there']],
    isOf(['TargetRunClaimed']),
  ),
  untold('workers: start appended, executor not told', 'workers', [['workers broker', 'there']], isOf(['StepStarted'])),
  untold('workers: outcome appended, executor not told', 'workers', [['workers broker', 'there']], isOf(OUTCOMES)),
  untold(
    'vault: release appended, secret not sent',
    'vault',
    [['vault event-store', 'back']],
    isOf(['CredentialReleased']),
  ),
  untold(
    'event store: events durable, nobody told',
    'event-store',
    [
      ['api event-store', 'back'],
      ['workers event-store', 'back'],
    ],
    () => true,
  ),
  untold(
    'broker: claim appended, assignment on its way',
    'broker',
    executors.map(each => [`${each} broker`, 'back']),
    isOf(['TargetRunClaimed']),
  ),
  unheard('executor: assigned, assignment not heard', ['TargetRunClaimed']),
  unheard('executor: step permitted, permission not heard', ['StepStarted']),
  unheard('executor: outcome recorded, answer not heard', OUTCOMES),
  { name: 'executor: step permitted, command not on the target', reach: beforeEffect },
  { name: 'executor: in the middle of the effect', reach: inEffect },
  { name: 'executor: effect over, report not sent', reach: beforeReport },
  { name: 'projectors: rows written, checkpoint not', reach: midCheckpoint('workers') },
  { name: 'projectors: checkpoint committed, commit not acknowledged', reach: afterCheckpoint },
  { name: 'postgres: rows written, checkpoint not', reach: midCheckpoint('postgres') },
]

/** What the executor hands over to the target stays on the way, and dies with it. */
async function beforeEffect({ watch, ssh }: Scene, signal: AbortSignal): Promise<Executor | undefined> {
  for (const line of ssh.values()) line.rule('there', 'hold')
  const started = await watch.next(isOf(['StepStarted']), signal)
  const claim = started && watch.claimOf(started)
  const line = claim && ssh.get(claim.address)
  if (!claim || !line) return undefined
  const before = line.held('there').length
  while (line.held('there').length === before) {
    if (signal.aborted) return undefined
    await delay(LOOK_MS)
  }
  line.cut()
  return executorOf(claim.executorId)
}

async function inEffect({ watch, effectsFile }: Scene, signal: AbortSignal): Promise<Executor | undefined> {
  const before = readEffects(effectsFile).length
  while (!signal.aborted) {
    const effect = readEffects(effectsFile)[before]
    const claim = effect && watch.claimAt(effect.token, effect.address)
    if (effect) return claim && executorOf(claim.executorId)
    await delay(LOOK_MS)
  }
  return undefined
}

async function beforeReport({ deployment, random }: Scene, signal: AbortSignal): Promise<Executor | undefined> {
  const executor = random.pick(executors)
  const line = deployment.line(`${executor} broker`)
  line.rule('there', 'hold')
  while (!signal.aborted) {
    if (/"type":"(?:succeed|fail)-step"/.test(line.held('there'))) return executor
    await delay(LOOK_MS)
  }
  return undefined
}

/** The transaction is open and has written; the statement that moves the checkpoint does not arrive. */
function midCheckpoint(victim: ServiceName) {
  return async ({ deployment }: Scene, signal: AbortSignal): Promise<ServiceName | undefined> => {
    const reached = deployment.line('workers postgres').holdFrom('there', COMMIT_OF_CHECKPOINT)
    return await firstOf(
      signal,
      reached.then(() => victim),
    )
  }
}

async function afterCheckpoint({ deployment }: Scene, signal: AbortSignal): Promise<ServiceName | undefined> {
  const line = deployment.line('workers postgres')
  line.rule('back', 'hold')
  while (!signal.aborted) {
    if (line.held('back').includes('COMMIT\0')) return 'workers'
    await delay(LOOK_MS)
  }
  return undefined
}

const firstOf = <T>(signal: AbortSignal, wanted: Promise<T>): Promise<T | undefined> =>
  Promise.race([wanted, new Promise<undefined>(resolve => signal.addEventListener('abort', () => resolve(undefined)))])

const executorOf = (id: string) => executors.find(each => each === id)
