import { closeSync, writeSync } from 'node:fs'
import type { Logger } from 'pino'
import { startHealthServer } from './health.ts'

/** One dependency or condition of a role, as its readiness answer lists it. */
export type Check = { name: string; ok: boolean; detail?: string }

/** One step of an orderly stop; when `run` takes longer than `deadlineMs` the next stage begins anyway. */
export type StopStage = { name: string; deadlineMs: number; run(): Promise<void> }

/** What a role hands back once it serves: where, whether it is ready now, and how it stops (stages run in order). */
export type RunningRole = {
  endpoints?: Record<string, string | number>
  ready(): Promise<Check[]> | Check[]
  stop: StopStage[]
}

/** The entry of a role: every role folder's `main.ts` exports one as `start`. Rejects when the role cannot serve. */
export type StartRole<Config> = (config: Config, log: Logger) => Promise<RunningRole>

/** How a role is watched. All of it comes from the one config; every part is optional. */
export type Watch = {
  /** File descriptor that gets one JSON line `{"ready":true,"endpoints":{…}}` once the role serves. */
  readyFd?: number | undefined
  /** True: standard input is a pipe of the parent, and its end means that the parent died. */
  parentPipe?: boolean | undefined
  /** Where to answer GET /health/live and /health/ready; port 0 picks a free one, reported as endpoint `health`. */
  health?: { host: string; port: number } | undefined
}

const ORPHAN_GRACE_MS = 5_000
const REPEATED_SIGNAL_MS = 1_000

/**
 * Starts a role and stays with it until a signal, the death of the parent or a fatal error ends the process.
 * SIGTERM and SIGINT stop in order and exit 0 (1 when a stage failed or was late); a second one, a second later
 * or more, exits at once.
 */
export async function runRole<Config>(
  name: string,
  start: StartRole<Config>,
  config: Config,
  log: Logger,
  watch: Watch = {},
): Promise<void> {
  const ending = awaitEnd(log, watch.parentPipe === true)
  try {
    const role = await start(config, log)
    const health = watch.health && (await startHealthServer(watch.health, () => role.ready()))
    const endpoints = { ...role.endpoints, ...(health && { health: health.url }) }
    log.info({ endpoints }, `${name} ready`)
    if (watch.readyFd !== undefined) announce(watch.readyFd, endpoints)
    const why = await ending
    log.info({ why }, `${name} stopping`)
    const clean = await runStages(role.stop, log)
    await health?.close()
    process.exit(clean ? 0 : 1)
  } catch (error) {
    log.fatal({ err: error }, `${name} could not start`)
    process.exit(1)
  }
}

/** Several roles in one process: started in order, ready when all are, stopped the other way round. */
export function together<Config>(...starts: StartRole<Config>[]): StartRole<Config> {
  return async (config, log) => {
    const running: RunningRole[] = []
    for (const start of starts) running.push(await start(config, log))
    return {
      endpoints: Object.assign({}, ...running.map(role => role.endpoints)),
      ready: async () => (await Promise.all(running.map(role => role.ready()))).flat(),
      stop: running.toReversed().flatMap(role => role.stop),
    }
  }
}

/** Runs stop stages in order, each within its deadline. True when every stage ended well and in time. */
export async function runStages(stages: StopStage[], log: Logger): Promise<boolean> {
  let clean = true
  for (const stage of stages) {
    const outcome = await withinDeadline(stage)
    if (outcome === 'done') continue
    clean = false
    log.error(outcome === 'late' ? { deadlineMs: stage.deadlineMs } : { err: outcome.failed }, `stop: ${stage.name}`)
  }
  return clean
}

async function withinDeadline(stage: StopStage): Promise<'done' | 'late' | { failed: unknown }> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>(resolve => {
    timer = setTimeout(() => resolve('late'), stage.deadlineMs)
  })
  const done = Promise.resolve()
    .then(() => stage.run())
    .then(
      () => 'done' as const,
      (failed: unknown) => ({ failed }),
    )
  const outcome = await Promise.race([done, late])
  clearTimeout(timer)
  return outcome
}

/** Resolves with the reason to stop; a second reason, or a fatal error at any time, ends the process at once. */
function awaitEnd(log: Logger, parentPipe: boolean): Promise<string> {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, error => {
      log.fatal({ err: error }, event)
      process.exit(1)
    })
  }
  return new Promise(resolve => {
    let since: number | undefined
    const ask = (why: string) => {
      // npm passes on a Ctrl-C that the terminal has sent to us already
      if (since !== undefined && Date.now() - since > REPEATED_SIGNAL_MS) process.exit(1)
      since ??= Date.now()
      resolve(why)
    }
    process.on('SIGTERM', ask)
    process.on('SIGINT', ask)
    if (parentPipe) onParentGone(() => resolve('parent gone'))
  })
}

// A parent killed with SIGKILL can tell nobody; the kernel closing its end of our stdin is the one sign left.
function onParentGone(stop: () => void): void {
  let gone = false
  const leave = () => {
    if (gone) return
    gone = true
    setTimeout(() => process.exit(1), ORPHAN_GRACE_MS).unref()
    stop()
  }
  process.stdin.on('end', leave).on('close', leave).on('error', leave).resume()
}

function announce(fd: number, endpoints: Record<string, string | number>): void {
  writeSync(fd, `${JSON.stringify({ ready: true, endpoints })}\n`)
  closeSync(fd)
}
