import { openCommandSide } from '../command-api/main.ts'
import type { Config } from '../infra/config.ts'
import { createHttpServer, listen, registerDocs } from '../infra/http/index.ts'
import type { RunningRole } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { openQuerySide } from '../query-api/main.ts'

/** Role `api`: commands and queries at one address. */
export async function start(config: Config, log: Log): Promise<RunningRole> {
  const commands = await openCommandSide(config, log)
  const queries = await openQuerySide(config, log)
  const ready = async () => [...commands.ready(), ...(await queries.ready())]
  const { authenticate } = commands
  const http = await createHttpServer({ log, authenticate, ready, refused: commands.refused, edge: config.edge })
  commands.register(http)
  queries.register(http)
  registerDocs(http)
  const url = await listen(http, config)
  const finish = { name: 'finish requests', deadlineMs: config.stopSeconds * 1000, run: () => http.close() }
  return { endpoints: { url }, ready, stop: [finish, commands.close, queries.close] }
}
