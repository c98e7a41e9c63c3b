import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'

const tokens = z.object({
  accessToken: z.string(),
  accessTokenExpiresAt: z.string(),
  refreshToken: z.string(),
  sessionExpiresAt: z.string(),
  userId: z.string(),
})
export type Tokens = z.output<typeof tokens>
const file = z.record(z.string(), tokens)

/** One file beside the profiles, readable by its owner only. */
const fileOf = (env: NodeJS.ProcessEnv): string =>
  join(env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'opsconductor', 'tokens.json')

function load(path: string): Record<string, Tokens> {
  try {
    return file.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return {}
  }
}

/** The tokens of whoever is signed in to this API here. */
export const readTokens = (env: NodeJS.ProcessEnv, url: string): Tokens | undefined => load(fileOf(env))[url]

/** Keeps them, or with undefined forgets them. */
export function writeTokens(env: NodeJS.ProcessEnv, url: string, kept: Tokens | undefined): void {
  const path = fileOf(env)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const { [url]: _, ...others } = load(path)
  const beside = `${path}.${process.pid}.new`
  rmSync(beside, { force: true })
  const content = JSON.stringify({ ...others, ...(kept && { [url]: kept }) }, null, 2)
  writeFileSync(beside, `${content}\n`, { mode: 0o600, flag: 'wx', flush: true })
  renameSync(beside, path)
}

const WAIT_MS = 50
const STALE_MS = 10_000

/** One at a time: a refresh token that two processes show at once would look stolen. */
export async function alone<T>(env: NodeJS.ProcessEnv, work: () => Promise<T>): Promise<T> {
  const lock = `${fileOf(env)}.lock`
  mkdirSync(dirname(lock), { recursive: true, mode: 0o700 })
  for (;;) {
    try {
      closeSync(openSync(lock, 'wx', 0o600))
      break
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      // Whoever left it behind was stopped in the middle.
      if (isStale(lock)) rmSync(lock, { force: true })
      else await new Promise(resolve => setTimeout(resolve, WAIT_MS))
    }
  }
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function isStale(lock: string): boolean {
  const found = statSync(lock, { throwIfNoEntry: false })
  return found !== undefined && Date.now() - found.mtimeMs > STALE_MS
}
