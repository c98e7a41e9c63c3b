import { syncBuiltinESMExports } from 'node:module'
import promises from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'

/** A simulated operating system process: what it waits for is told to it only while it runs. */
export type Process = {
  readonly name: string
  state: 'running' | 'paused' | 'dead'
  /** How far its wall clock is off, in milliseconds. */
  readonly skewMs: number
  /** What would have happened in it while it stood still. */
  readonly missed: Due[]
}
type Due = { at: number; order: number; owner: Process | undefined; act: (() => void) | undefined }

export const newProcess = (name: string, skewMs = 0): Process => ({ name, state: 'running', skewMs, missed: [] })

const START = Date.parse('2030-01-01T00:00:00.000Z')
const real = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate }
const realDelay = promises.setTimeout
const realRandom = Math.random
const realUtilization = performance.eventLoopUtilization

// A turn of the event loop for every step of a world would cost more than all that the step does.
setFlagsFromString('--allow-natives-syntax')
const settlePromises = new Function('%PerformMicrotaskCheckpoint()') as () => void

/**
 * Virtual time for one world: things happen one after the other, each followed by everything it leads to at once, and
 * nothing takes any real time. What code asks for with `setTimeout` belongs to the process in which it ran.
 */
export class Timeline {
  readonly #heap: Due[] = []
  #order = 0
  #spelled = { ms: -1, text: '' }
  #now = 0
  #current: Process | undefined

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#now
  }

  get current(): Process | undefined {
    return this.#current
  }

  wallClock(of: Process | undefined = undefined): string {
    const ms = Math.floor(START + this.#now + (of?.skewMs ?? 0))
    if (ms !== this.#spelled.ms) this.#spelled = { ms, text: new Date(ms).toISOString() }
    return this.#spelled.text
  }

  /** Something happens in a process, or in the world outside of all of them. */
  schedule(ms: number, owner: Process | undefined, act: () => void): Due {
    const due = { at: this.#now + Math.max(0, ms), order: this.#order, owner, act }
    this.#order += 1
    push(this.#heap, due)
    return due
  }

  /** Runs `act` as that process, now. */
  within(owner: Process, act: () => void): void {
    this.schedule(0, owner, act)
  }

  pause(process: Process): void {
    if (process.state === 'running') process.state = 'paused'
  }

  resume(process: Process): void {
    if (process.state !== 'paused') return
    process.state = 'running'
    // In their old order, and before anything that was planned since.
    for (const due of process.missed.splice(0)) {
      due.at = this.#now
      push(this.#heap, due)
    }
  }

  kill(process: Process): void {
    process.state = 'dead'
    process.missed.length = 0
  }

  /** Lets time pass until nothing is left or the time is over. */
  async run(forMs: number): Promise<void> {
    const end = this.#now + forMs
    active = this
    try {
      // Only outside of any promise can all that a step leads to be seen through at once.
      await new Promise<void>((resolve, reject) => {
        real.setImmediate(() => {
          try {
            this.#play(end)
            resolve()
          } catch (error) {
            reject(error)
          }
        })
      })
    } finally {
      active = undefined
    }
  }

  #play(end: number): void {
    for (let due = this.#next(end); due; due = this.#next(end)) {
      if (!this.#take(due)) continue
      settlePromises()
      this.#current = undefined
    }
    this.#now = end
  }

  #next(end: number): Due | undefined {
    const [first] = this.#heap
    return first && first.at <= end ? pop(this.#heap) : undefined
  }

  /** False when nothing came of it. */
  #take(due: Due): boolean {
    const { owner, act } = due
    if (!act || owner?.state === 'dead') return false
    this.#now = Math.max(this.#now, due.at)
    if (owner?.state === 'paused') {
      owner.missed.push(due)
      return false
    }
    this.#current = owner
    act()
    return true
  }

  startTimer(act: () => void, ms: number): Handle {
    return new Handle(this.schedule(Math.max(1, ms), this.#current, act))
  }

  startInterval(act: () => void, ms: number): Handle {
    const owner = this.#current
    const again = () => {
      act()
      if (!timer.stopped) timer.due = this.schedule(ms, owner, again)
    }
    const timer = new Handle(this.schedule(ms, owner, again))
    return timer
  }

  /** For code that takes its jitter from `Math.random`. */
  readonly random: () => number

  constructor(random: () => number) {
    this.random = random
  }
}

class Handle {
  due: Due
  #stopped = false
  constructor(due: Due) {
    this.due = due
  }
  stop(): void {
    this.#stopped = true
    this.due.act = undefined
  }
  get stopped(): boolean {
    return this.#stopped
  }
  unref(): this {
    return this
  }
}
const before = (a: Due, b: Due) => a.at < b.at || (a.at === b.at && a.order < b.order)

function push(heap: Due[], due: Due): void {
  let at = heap.length
  heap.push(due)
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent] as Due // parent < at
    if (!before(due, above)) break
    heap[at] = above
    at = parent
  }
  heap[at] = due
}

function pop(heap: Due[]): Due | undefined {
  const [first] = heap
  const last = heap.pop()
  if (!first || !last || heap.length === 0) return first
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    const left = heap[child]
    const right = heap[child + 1]
    if (!left) break
    const lesser = right && before(right, left) ? right : left
    if (lesser === right) child += 1
    if (!before(lesser, last)) break
    heap[at] = lesser
    at = child
  }
  heap[at] = last
  return first
}

let active: Timeline | undefined

/** From here on the timers of this program, and its chance, are those of the world that is running, if one is. */
function install(): void {
  const stopper = (otherwise: (timer: never) => void) => (timer: unknown) =>
    timer instanceof Handle ? timer.stop() : otherwise(timer as never)
  const starter =
    (of: (timeline: Timeline) => Timeline['startTimer'], otherwise: (act: () => void, ms?: number) => unknown) =>
    (act: () => void, ms = 0) =>
      active ? of(active).call(active, act, ms) : otherwise(act, ms)
  Object.assign(globalThis, {
    setTimeout: starter(timeline => timeline.startTimer, real.setTimeout),
    setInterval: starter(timeline => timeline.startInterval, real.setInterval),
    clearTimeout: stopper(real.clearTimeout),
    clearInterval: stopper(real.clearInterval),
  })
  Math.random = () => (active ? active.random() : realRandom())
  // How busy this machine is must not decide anything in a world.
  performance.eventLoopUtilization = (...of) =>
    active ? { idle: 1, active: 0, utilization: 0 } : realUtilization.call(performance, ...of)
  Object.assign(promises, { setTimeout: delay })
  syncBuiltinESMExports()
}

/** As `setTimeout` of `node:timers/promises`. */
function delay<T>(ms?: number, value?: T, options: { signal?: AbortSignal } = {}): Promise<T | undefined> {
  const timeline = active
  if (!timeline) return realDelay(ms, value, options)
  const { signal } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = timeline.startTimer(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve(value)
    }, ms ?? 0)
    const onAbort = () => {
      timer.stop()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

install()
