import { parseArgs } from 'node:util'
import { systemClock } from '../infra/clock.ts'
import { type Config, ConfigError, loadConfig } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { systemIds } from '../infra/ids.ts'
import { createLog } from '../infra/log.ts'
import { createPool, type Pool } from '../infra/postgres.ts'
import { readRuntime } from '../infra/runtime-file.ts'
import { openKek } from './open-kek.ts'
import { type KekHistory, kekHistory } from './rotation/history.ts'
import { destroyKek, type KekUse, kekUses, renewKek } from './rotation/operator.ts'

const usage = `opsconductor vault status [--json]
opsconductor vault rotate-kek [--reason <text>] [--json]
opsconductor vault destroy-kek <id> [--reason <text>]

status       shows the key-encryption keys and how much each of them wraps
rotate-kek   makes a new key; the running vault notices it, and has it wrap everything, while it goes on answering
destroy-kek  destroys a key that wraps nothing any more; what it once wrapped cannot be read again from any backup

On a machine where the vault runs, with its settings. Keys of the environment and of AWS KMS are made elsewhere: put a
new one first in the list and start the vault again, which does the rest.`

type Options = { json?: boolean | undefined; reason?: string | undefined }

/** `opsconductor vault …`, on the machine that holds the key. Answers the exit code. */
export async function vault(argv: string[]): Promise<number> {
  const options = { json: { type: 'boolean' }, reason: { type: 'string' } } as const
  const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true })
  const [action, kekId] = positionals
  if (action === 'status') return await withVault(tools => status(tools, values))
  if (action === 'rotate-kek') return await withVault(tools => rotate(tools, values))
  if (action === 'destroy-kek' && kekId !== undefined) return await withVault(tools => destroy(tools, kekId, values))
  console.error(usage)
  return 2
}

type Tools = { config: Config; pool: Pool; history: KekHistory }

async function withVault(act: (tools: Tools) => Promise<number>): Promise<number> {
  const config = loadConfig()
  const running = readRuntime(config.dataDir)
  const postgres = config.postgresUrl?.reveal() ?? running?.postgresUrl
  const eventStore = config.eventStoreUrl?.reveal() ?? running?.eventStoreUrl
  if (postgres === undefined || eventStore === undefined)
    throw new ConfigError(`no system runs on ${config.dataDir}: start it, or set the URLs of Postgres and event store`)
  const pool = createPool(postgres, createLog('vault tool', 'silent'), { max: 2, name: 'vault tool' })
  const store = connectEventStore(eventStore)
  try {
    return await act({ config, pool, history: kekHistory(store, systemClock) })
  } finally {
    await Promise.all([pool.end(), store.close()])
  }
}

const keksOf = ({ config }: Tools) =>
  openKek(config, { secretsExist: true, now: systemClock.now() }, createLog('vault tool', 'silent'))

async function status(tools: Tools, { json }: Options): Promise<number> {
  const keks = await keksOf(tools)
  const uses = await kekUses(tools.pool, keks)
  console.log(json ? JSON.stringify(uses) : uses.map(useText).join('\n'))
  return uses.every(({ held }) => held) ? 0 : 1
}

function useText({ kekId, active, held, wraps }: KekUse): string {
  const count = Object.values(wraps).reduce((sum, each) => sum + each, 0)
  const notes = [active && 'active', !held && (count > 0 ? 'MISSING' : 'gone')].filter(Boolean)
  const what = Object.entries(wraps).map(([holder, each]) => `${holder} ${each}`)
  return [kekId, notes.join(', ') || 'kept', what.join(', ') || 'wraps nothing'].join('  ')
}

async function rotate(tools: Tools, { json, reason }: Options): Promise<number> {
  const keks = await keksOf(tools)
  const { from, kekId } = await renewKek({ ...tools, keks, clock: systemClock }, reason)
  const said = `${kekId} takes over from ${from}. Back it up; opsconductor vault status shows how far the vault is.`
  console.log(json ? JSON.stringify({ kekId, from }) : said)
  return 0
}

async function destroy(tools: Tools, kekId: string, { reason }: Options): Promise<number> {
  const keks = await keksOf(tools)
  const why = await destroyKek({ ...tools, keks, clock: systemClock, ids: systemIds }, kekId, reason)
  if (why === undefined) return 0
  console.error(why)
  return 5
}
