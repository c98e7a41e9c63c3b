import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Deployment, ServiceName } from '../support/deployment.ts'
import { isAlive } from '../support/process-tree.ts'
import { type Fault, type Scenery, strike } from './faults.ts'
import { type Point, points, type Scene } from './points.ts'

/** `point` is absent for a kill at no particular moment. `at` in milliseconds of the wall clock. */
export type Kill = { victim: string; point?: string; at: number; readyAfterMs: number | undefined }
type NemesisOptions = {
  kills: number
  scene: Scene & Scenery
  /** One after the other, spread over the kills. */
  faults: readonly Fault[]
  onKill(kill: Kill): void
  /** It begins. */
  onFault(fault: Fault): void
  onFaultOver(fault: Fault): void
  /** The moment did not come in time. */
  onMiss(point: string): void
}

/** So long a moment is waited for, so much of it at a stretch with everything held up that it needs. */
const PATIENCE_MS = 8_000
const HELD_MS = 800
const FLOWING_MS = 200
const READY_MS = 30_000
/** So long it is waited for that before trying anyway. */
const AT_WORK_MS = 10_000

/**
 * Kills one process after the other, without warning: half of them at the named points in turn, the others at any
 * time. Faults come between the kills.
 */
export async function nemesis(options: NemesisOptions): Promise<void> {
  const { kills, scene, faults, onFault, onFaultOver } = options
  const { random } = scene
  const watching: Promise<void>[] = []
  const due = [...faults]
  let inTurn: Point[] = []
  for (let done = 0; done < kills; ) {
    await delay(random.between(200, 1_500))
    if (due.length > 0 && done >= (kills * (faults.length - due.length + 0.5)) / faults.length) {
      const fault = due.shift()
      if (fault) {
        onFault(fault)
        await strike(fault, scene)
        onFaultOver(fault)
      }
    }
    if (inTurn.length === 0) inTurn = random.some(points, points.length)
    const point = done % 2 === 0 ? inTurn.pop() : undefined
    const victim = point ? await at(point, scene) : anyone(scene)
    if (victim) watching.push(kill(scene.deployment, victim, point, options))
    if (victim) done += 1
    release(scene, victim)
    if (point && !victim) options.onMiss(point.name)
  }
  await Promise.all(watching)
}

async function at(point: Point, scene: Scene): Promise<ServiceName | undefined> {
  await atWork(scene)
  const until = performance.now() + PATIENCE_MS
  while (performance.now() < until) {
    const victim = await point.reach(scene, AbortSignal.timeout(HELD_MS))
    if (victim) return isUp(scene.deployment, victim) ? victim : undefined
    release(scene, undefined)
    await delay(FLOWING_MS)
  }
  return undefined
}

/** Until what was harmed before works again: else the moment would hardly come. */
async function atWork({ deployment, watch }: Scene): Promise<void> {
  const late = AbortSignal.timeout(AT_WORK_MS)
  const ready = Promise.all([...deployment.services.values()].map(service => service.untilReady()))
  await Promise.race([ready, once(late, 'abort')])
  await watch.next(event => event.type === 'StepStarted', late)
}

function anyone({ deployment, random }: Scene): ServiceName | undefined {
  const alive = [...deployment.services.keys()].filter(name => isUp(deployment, name))
  return alive.length > 0 ? random.pick(alive) : undefined
}

const isUp = ({ services }: Deployment, name: ServiceName) => services.get(name)?.pid !== undefined

/** Kills at once; then waits until it is back. */
function kill(deployment: Deployment, victim: ServiceName, point: Point | undefined, { onKill }: NemesisOptions) {
  const service = deployment.services.get(victim)
  const at = Date.now()
  const back = service?.nextReady().then(() => Date.now() - at)
  // Of Postgres the launcher or, without it, the server behind it.
  const server = Number(service?.endpoints.postmaster ?? 0)
  if (point && server > 0 && isAlive(server)) {
    service?.away.is(true)
    process.kill(server, 'SIGKILL')
  } else service?.kill()
  const late = delay(READY_MS, undefined, { ref: false })
  return Promise.race([back, late]).then(readyAfterMs => {
    onKill({ victim, at, readyAfterMs: readyAfterMs ?? undefined, ...(point && { point: point.name }) })
  })
}

/** What the dead sent or would have heard is lost with them; everything else flows again. */
function release({ deployment, ssh }: Scene, victim: ServiceName | undefined): void {
  for (const [name, line] of deployment.lines) if (name.split(' ').some(end => end === victim)) line.cut()
  for (const line of [...deployment.lines.values(), ...ssh.values()]) {
    for (const direction of ['there', 'back'] as const) line.rule(direction, 'pass')
  }
}
