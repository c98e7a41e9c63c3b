import path from 'node:path'
import type { Config } from '../../config.ts'
import type { StartRole } from '../../lifecycle.ts'
import { runPostgres } from '../postgres/run.ts'

/** Role `postgres`: the embedded server in `<data>/postgres`. Endpoints: `url`, `postmaster` (its pid). */
export const start: StartRole<Config> = async (config, log) => {
  const server = await runPostgres({ dataDir: path.join(config.dataDir, 'postgres'), log })
  let stopping = false
  let running = true
  void server.exited.then(() => {
    running = false
    if (stopping) return
    log.fatal('Postgres ended')
    process.exit(1)
  })
  const stop = () => {
    stopping = true
    return server.stop()
  }
  return {
    endpoints: { url: server.url, postmaster: server.pid },
    ready: () => [{ name: 'postmaster', ok: running }],
    stop: [{ name: 'postgres', deadlineMs: config.stopSeconds * 1000, run: stop }],
  }
}
