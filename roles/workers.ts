import type { Config } from '../infra/config.ts'
import { SharedLog } from '../infra/event-store/shared-log.ts'
import { type RunningRole, together } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { start as startProjectors } from '../projectors/main.ts'
import { start as startReactors } from '../reactors/main.ts'

/** Role `workers`: what follows the log and acts on it, in one process that reads the log once. */
export function start(config: Config, log: Log): Promise<RunningRole> {
  const shared = new SharedLog()
  const both = together<Config>(
    (...given) => startProjectors(...given, shared),
    (...given) => startReactors(...given, shared),
  )
  return both(config, log)
}
