import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { lockFile } from '../../folder-lock.ts'
import { postgresBinaries } from './binaries.ts'
import { clusterVersion, dataPath, ensureCluster, ROLE_NAME, type Server, serverEnvironment } from './cluster.ts'
import { availableGuard, type Guard, guarded } from './guard.ts'
import { clearLeftover, stopServer } from './leftover.ts'
import { privateFolder, serverOwner } from './owner.ts'

export type PostgresOptions = {
  /** Folder for this server alone; made when missing. */
  dataDir: string
  log: Logger
  /** False trades safety against power loss for speed: tests only. Default true. */
  durable?: boolean
  /** Folder of another installation's `initdb` and `postgres`. Default: the installed package. */
  binDir?: string
  /** Default: what this machine offers. */
  guard?: Guard
}

export type RunningPostgres = {
  /** Connection URL through the Unix socket; the same after every start on the same folder. */
  url: string
  /** The postmaster's process. */
  pid: number
  /** Resolves when the server is gone, for whatever reason. */
  exited: Promise<void>
  /** Fast shutdown: clients are cut off, the cluster is left clean. */
  stop(): Promise<void>
}

const SOCKET_PATH_LIMIT = 107 // sun_path of unix(7) less its closing zero
const START_DEADLINE_MS = 60_000
const SHARED_MEMORY_BUSY = /pre-existing shared memory block/
const BUSY_TRIES = 50

/** Starts Postgres on a folder: makes the cluster if there is none, clears what a crash left, waits until it serves. */
export async function runPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { log, durable = true } = options
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
  const dataDir = realpathSync(options.dataDir)
  const socketDir = path.join(dataDir, 'socket')
  requireShortPath(path.join(socketDir, '.s.PGSQL.5432'))
  const unlock = lockFile(path.join(dataDir, 'launcher.lock'))
  try {
    const owner = serverOwner()
    privateFolder(dataDir, owner)
    privateFolder(socketDir, owner)
    const binDir = options.binDir ?? postgresBinaries(dataDir, owner)
    const server = { binDir, cluster: path.join(dataDir, 'cluster'), owner, durable }
    await clearLeftover(server.cluster, log)
    await ensureCluster(server)
    const child = await startServer(server, options.guard ?? availableGuard(), log)
    return running(child, server, socketDir, unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

function requireShortPath(socket: string): void {
  const bytes = Buffer.byteLength(socket)
  if (bytes <= SOCKET_PATH_LIMIT) return
  const why = `${socket} has ${bytes} bytes and a Unix socket's path may have ${SOCKET_PATH_LIMIT}`
  throw new Error(`the data folder's path is too long: ${why}; set OPSCONDUCTOR_DATA_DIR to a shorter one`)
}

function running(child: ChildProcess, server: Server, socketDir: string, unlock: () => void): RunningPostgres {
  const pid = Number.parseInt(readFileSync(path.join(server.cluster, 'postmaster.pid'), 'utf8'), 10)
  let ended = false
  const exited = new Promise<void>(resolve => {
    child.once('close', () => {
      ended = true
      unlock()
      resolve()
    })
  })
  const stop = async () => {
    await stopServer(pid, () => ended)
    await exited
  }
  const url = `postgres://${ROLE_NAME}@localhost/${ROLE_NAME}?host=${encodeURIComponent(socketDir)}`
  return { url, pid, exited, stop }
}

// After kill -9 of a postmaster its backends notice within moments; until then the memory counts as in use.
async function startServer(server: Server, guard: Guard, log: Logger): Promise<ChildProcess> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await tryStart(server, guard, log)
    if (typeof outcome !== 'string') return outcome
    if (attempt === BUSY_TRIES || !SHARED_MEMORY_BUSY.test(outcome)) {
      throw new Error(`Postgres did not start: ${outcome.trim().slice(-2_000)}`)
    }
    await delay(100)
  }
}

function tryStart(server: Server, guard: Guard, log: Logger): Promise<ChildProcess | string> {
  const { file, args } = guarded(guard, [path.join(server.binDir, 'postgres'), ...serverArguments(server)])
  const child = spawn(file, args, {
    ...server.owner,
    cwd: server.cluster,
    env: serverEnvironment(),
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let said = ''
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => child.kill('SIGQUIT'), START_DEADLINE_MS)
    const settle = (outcome: ChildProcess | string) => {
      clearTimeout(late)
      resolve(outcome)
    }
    child.once('error', reject)
    child.once('close', () => settle(said))
    createInterface(child.stderr).on('line', line => {
      log.debug(line)
      if (said.length < 10_000) said += `${line}\n`
      if (line.includes('database system is ready to accept connections')) settle(child)
    })
  })
}

// Sized for a small machine beside six Node processes. Messages stop short of statements and values: no data in logs.
function serverArguments(server: Server): string[] {
  const settings: Record<string, string | number> = {
    listen_addresses: '',
    unix_socket_directories: '../socket',
    unix_socket_permissions: '0700',
    port: 5432,
    max_connections: 50,
    shared_buffers: '32MB',
    max_parallel_workers: 0,
    max_parallel_workers_per_gather: 0,
    jit: 'off',
    wal_level: 'minimal',
    max_wal_senders: 0,
    min_wal_size: '32MB',
    max_wal_size: '512MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_line_prefix: '',
    ...(clusterVersion(server.cluster) >= 18 ? { io_method: 'sync' } : {}),
    ...(server.durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return ['-D', dataPath(server), ...flags]
}
