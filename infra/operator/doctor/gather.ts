import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { listApiKeys } from '../../api-keys.ts'
import type { Config } from '../../config.ts'
import { readRuntime } from '../../runtime-file.ts'
import { askDatabase } from './database.ts'
import { endpointsOf } from './endpoints.ts'
import type { Facts, PrivateFile, Role } from './facts.ts'

/** Looks at settings, files, processes, disks and, where there is one, the database. Changes nothing. */
export async function gather(config: Config, now: string): Promise<Facts> {
  const { dataDir, host, logLevel, edge, egressAllow, vaultEgressAllow, kek } = config
  const running = readRuntime(dataDir)
  const postgresUrl = config.postgresUrl?.reveal() ?? running?.postgresUrl
  return {
    ...{ now, host, logLevel, edge, egressAllow, vaultEgressAllow },
    oidcEgressAllow: config.oidc?.egressAllow ?? [],
    oidcRedirectUrl: config.oidc?.page?.redirectUrl,
    kekProvider: kek.provider,
    endpoints: endpointsOf(config),
    files: privateFiles(config),
    adminKeys: listApiKeys(config.apiKeysFile),
    node: process.version,
    nodeSettings: config.node,
    root: process.getuid?.() === 0,
    coreDumps: mayDump('self'),
    roles: Object.entries(running?.roles ?? {}).flatMap(([name, { pid }]) => roleOf(name, pid)),
    swap: swapAreas(),
    disks: await disksOf([dataDir, config.executorDir, dirname(config.kekFile)]),
    database: postgresUrl === undefined ? undefined : await askDatabase(postgresUrl),
  }
}

function privateFiles({ dataDir, apiKeysFile, kekFile, kek, executorDir, secretFiles }: Config): PrivateFile[] {
  const file = (what: PrivateFile['what'], path: string): PrivateFile => {
    const mode = statSync(path, { throwIfNoEntry: false })?.mode
    return { what, path, mode: mode === undefined ? undefined : mode & 0o777, insideData: isInside(path, dataDir) }
  }
  return [
    ...(kek.provider === 'file' ? [file('key-encryption keys', kekFile)] : []),
    file('API key hashes', apiKeysFile),
    file('runtime file', join(dataDir, 'runtime.json')),
    file('executor identity', join(executorDir, 'identity.pem')),
    ...secretFiles.map(path => file('secret file', resolve(path))),
    file('data folder', dataDir),
  ]
}

function isInside(path: string, folder: string): boolean {
  const way = relative(real(folder), real(path))
  return way !== '' && way !== '..' && !way.startsWith('../')
}

/** With every link resolved, as far as it exists. */
function real(path: string): string {
  const whole = resolve(path)
  if (existsSync(whole) || dirname(whole) === whole) return existsSync(whole) ? realpathSync(whole) : whole
  return join(real(dirname(whole)), basename(whole))
}

/** Of Linux; elsewhere nothing is known of other processes, and nothing is said. */
function roleOf(name: string, pid: number): Role[] {
  const status = contentOf(`/proc/${pid}/status`)
  if (status === undefined) return []
  // proc(5): real, effective, saved and file system user.
  const effective = /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1]
  return [{ name, uid: Number(effective), coreDumps: mayDump(String(pid)) }]
}

/** proc(5): one line each behind a heading, the name first. What is compressed in memory (zram) is written nowhere. */
function swapAreas(): string[] {
  const [, ...lines] = (contentOf('/proc/swaps') ?? '').trim().split('\n')
  return lines.flatMap(line => line.split(/\s/)[0] ?? []).filter(name => !name.startsWith('/dev/zram'))
}

/** proc(5): `Max core file size   <soft>   <hard>   bytes`. */
function mayDump(pid: string): boolean {
  const soft = /^Max core file size\s+(\S+)/m.exec(contentOf(`/proc/${pid}/limits`) ?? '')?.[1]
  return soft !== undefined && soft !== '0'
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** One entry for each file system. */
async function disksOf(paths: readonly string[]): Promise<Facts['disks']> {
  const found = new Map<number, Facts['disks'][number]>()
  for (const path of new Set(paths)) {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (!stat || found.has(stat.dev)) continue
    const { bsize, bavail, blocks } = await statfs(path)
    found.set(stat.dev, { path, free: bsize * bavail, total: bsize * blocks })
  }
  return [...found.values()]
}
