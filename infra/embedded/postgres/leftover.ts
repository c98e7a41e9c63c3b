import { readFileSync, readlinkSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'

const FAST_STOP_MS = 10_000
const POLL_MS = 20

/**
 * Clears what an earlier life of this cluster left: a `postmaster.pid` whose process is gone or is something else
 * (pids come round again) is removed, and a server still running on the cluster is stopped.
 * The caller holds the lock of the data folder, so no live launcher owns that server.
 */
export async function clearLeftover(cluster: string, log: Logger): Promise<void> {
  const pidFile = path.join(cluster, 'postmaster.pid')
  const pid = firstLine(pidFile)
  if (pid === undefined) return
  if (isServerOf(pid, cluster)) {
    log.warn({ pid }, 'stopping a Postgres left over on this data folder')
    await stopServer(pid, () => !isServerOf(pid, cluster))
  }
  rmSync(pidFile, { force: true })
}

/** Fast shutdown, then immediate, then kill; resolves when `gone` says so. */
export async function stopServer(pid: number, gone: () => boolean): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGINT', FAST_STOP_MS],
    ['SIGQUIT', 2_000],
    ['SIGKILL', 2_000],
  ] as const) {
    if (!signalled(pid, signal)) return
    for (let waited = 0; waited < patienceMs; waited += POLL_MS) {
      if (gone()) return
      await delay(POLL_MS)
    }
  }
  throw new Error(`Postgres (pid ${pid}) does not stop`)
}

function signalled(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

function firstLine(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10)
    return pid > 1 ? pid : undefined
  } catch {
    return undefined
  }
}

// A postmaster's working directory is its data folder. Where there is no /proc, a live pid is taken at its word.
function isServerOf(pid: number, cluster: string): boolean {
  if (process.platform !== 'linux') return signalled(pid, 0)
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    return name === 'postgres' && readlinkSync(`/proc/${pid}/cwd`) === cluster
  } catch {
    return false
  }
}
