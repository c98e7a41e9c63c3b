import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { createApiKey, hasApiKeys } from '../../api-keys.ts'
import { type Config, loadConfig } from '../../config.ts'
import { FolderInUse, lockFile } from '../../folder-lock.ts'
import { readRuntime } from '../../runtime-file.ts'
import { inviteFirstAdministrator } from './first-administrator.ts'
import { defaultRoles, type RoleName, readRoles } from './plan.ts'
import { Supervisor } from './supervisor.ts'
import { welcome } from './welcome.ts'

/** Something the person at the terminal can put right; its message says what and how, no stack is needed. */
export class CannotStart extends Error {
  override name = 'CannotStart'
}

/** `opsconductor up [--roles=a,b]`: runs the system until it is told to stop. Resolves to the exit code. */
export async function up(argv: string[]): Promise<number> {
  const config = loadConfig()
  const roles = wantedRoles(argv)
  const write = (line: string) => process.stdout.write(`${line}\n`)
  write(`OpsConductor is starting; its data is in ${config.dataDir}`)
  const unlock = lockDataFolder(config)
  try {
    if (roles.some(servesPublicly)) await requireFreePort(config.host, config.port)
    const supervisor = new Supervisor(config, roles, write)
    return await runUntilStopped(supervisor, async () => {
      const { url, commandUrl } = supervisor
      const key = roles.some(servesPublicly) ? firstApiKey(config.apiKeysFile) : undefined
      const seconds = performance.now() / 1000
      const link =
        key !== undefined && commandUrl !== undefined ? await inviteFirstAdministrator(commandUrl, key) : undefined
      write(welcome({ url, dataDir: config.dataDir, seconds, key, link }))
    })
  } finally {
    unlock()
  }
}

function wantedRoles(argv: string[]): readonly RoleName[] {
  try {
    const { values } = parseArgs({ args: argv, options: { roles: { type: 'string' } } })
    return values.roles === undefined ? defaultRoles : readRoles(values.roles)
  } catch (cause) {
    throw new CannotStart(`opsconductor up: ${cause instanceof Error ? cause.message : cause}`)
  }
}

function servesPublicly(role: RoleName): boolean {
  return role === 'api' || role === 'command-api' || role === 'query-api'
}

function lockDataFolder({ dataDir }: Config): () => void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    return lockFile(path.join(dataDir, 'supervisor.lock'))
  } catch (error) {
    if (error instanceof FolderInUse) {
      const url = readRuntime(dataDir)?.url
      const where = url ? ` and serves ${url}` : ''
      throw new CannotStart(`OpsConductor already runs on ${dataDir} (process ${error.pid})${where}.`)
    }
    if (error instanceof Error && 'code' in error) {
      const way = 'Choose a folder of your own with OPSCONDUCTOR_DATA_DIR.'
      throw new CannotStart(`The data folder ${dataDir} cannot be used (${error.code}).\n${way}`)
    }
    throw error
  }
}

async function requireFreePort(host: string, port: number): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new CannotStart(portTrouble(host, port, error))))
    server.listen(port, host, resolve)
  })
  await new Promise(resolve => server.close(resolve))
}

function portTrouble(host: string, port: number, { code }: NodeJS.ErrnoException): string {
  const another = `Stop that program, or choose another port: OPSCONDUCTOR_PORT=${port === 7400 ? 7500 : 7400} npm start`
  if (code === 'EADDRINUSE') return `Port ${port} on ${host} is in use by another program.\n${another}`
  if (code === 'EACCES')
    return `Port ${port} needs more rights than this user has.\nChoose one above 1023 with OPSCONDUCTOR_PORT.`
  return `The address ${host} port ${port} cannot be listened on (${code}).\nSee OPSCONDUCTOR_HOST and OPSCONDUCTOR_PORT.`
}

// Made last: a key that was made before everything else worked might never be seen.
function firstApiKey(file: string): string | undefined {
  if (hasApiKeys(file)) return undefined
  return createApiKey(file, 'first administrator', { now: new Date().toISOString() })
}

const REPEATED_SIGNAL_MS = 1_000

async function runUntilStopped(supervisor: Supervisor, onReady: () => Promise<void>): Promise<number> {
  const asked = new Promise<string>(resolve => {
    let since: number | undefined
    const ask = (signal: string) => {
      // npm passes on a Ctrl-C that the terminal has sent to us already
      if (since !== undefined && Date.now() - since > REPEATED_SIGNAL_MS) {
        supervisor.kill()
        process.exit(1)
      }
      since ??= Date.now()
      resolve(signal)
    }
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, ask)
  })
  const started = supervisor.start().then(
    () => 'ready' as const,
    (error: Error) => error,
  )
  const first = await Promise.race([started, asked])
  if (first === 'ready') await onReady()
  if (first instanceof Error) supervisor.say(first.message)
  else supervisor.say(`${await asked}: stopping in order`)
  await supervisor.stop()
  supervisor.say('stopped')
  return first instanceof Error ? 1 : 0
}
