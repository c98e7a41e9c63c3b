import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'

const runtime = z.strictObject({
  /** The supervisor. */
  pid: z.int(),
  startedAt: z.string(),
  /** Public base URL; absent while or where no API runs. */
  url: z.string().optional(),
  /** Connection URLs with credentials, for tools run by the same user on the same machine. */
  eventStoreUrl: z.string().optional(),
  postgresUrl: z.string().optional(),
  natsUrls: z.record(z.string(), z.string()).default({}),
  roles: z.record(
    z.string(),
    z.strictObject({
      pid: z.int(),
      restarts: z.int(),
      endpoints: z.record(z.string(), z.union([z.string(), z.number()])),
    }),
  ),
})

/** What a running supervisor says of itself in `<data>/runtime.json` (mode 0600); gone when it has stopped. */
export type Runtime = z.output<typeof runtime>

const fileOf = (dataDir: string) => path.join(dataDir, 'runtime.json')

/** Replaces the file in one step. */
export function writeRuntime(dataDir: string, content: Runtime): void {
  const beside = `${fileOf(dataDir)}.new`
  writeFileSync(beside, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 })
  renameSync(beside, fileOf(dataDir))
}

export function removeRuntime(dataDir: string): void {
  rmSync(fileOf(dataDir), { force: true })
}

/** The running system on this data folder; undefined when there is none. */
export function readRuntime(dataDir: string): Runtime | undefined {
  try {
    const content = runtime.parse(JSON.parse(readFileSync(fileOf(dataDir), 'utf8')))
    process.kill(content.pid, 0)
    return content
  } catch {
    return undefined
  }
}
