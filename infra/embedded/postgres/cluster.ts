import { spawn } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { type Owner, privateFolder, reachable } from './owner.ts'

/** Superuser and database of the embedded server. */
export const ROLE_NAME = 'opsconductor'

/** What every server process is started with, besides the data folder. */
export type Server = { binDir: string; cluster: string; owner: Owner; durable: boolean }

// A server that runs as `nobody` may be unable to pass the folders above its data folder, but it inherits an open
// working directory, and this name leads back to it without passing them.
const WORKING_FOLDER = '/proc/self/cwd'

/** Makes the cluster and its database when there is none; a crash on the way leaves nothing that looks finished. */
export async function ensureCluster(server: Server): Promise<void> {
  const { cluster, owner, durable } = server
  if (existsSync(path.join(cluster, 'PG_VERSION'))) return
  const beside = `${cluster}.new`
  rmSync(beside, { recursive: true, force: true })
  privateFolder(beside, owner)
  const making = { ...server, cluster: beside }
  const sync = durable ? [] : ['--no-sync']
  await run(making, 'initdb', [
    '-U',
    ROLE_NAME,
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-instructions',
    ...sync,
  ])
  const single = ['--single', ...(durable ? [] : ['-F']), 'postgres']
  await run(making, 'postgres', single, `create database ${ROLE_NAME}\n`)
  renameSync(beside, cluster)
}

/** The major version the cluster was made with, e.g. 18. */
export function clusterVersion(cluster: string): number {
  return Number(readFileSync(path.join(cluster, 'PG_VERSION'), 'utf8'))
}

/** Environment of every server process: nothing of ours leaks in, and no locale but C. */
export function serverEnvironment(): Record<string, string> {
  return { LANG: 'C', LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin' }
}

function run(server: Server, tool: string, args: string[], input = ''): Promise<void> {
  const [first, ...rest] = args
  // postgres wants --single before everything else
  const ordered = first === '--single' ? [first, '-D', dataPath(server), ...rest] : ['-D', dataPath(server), ...args]
  const child = spawn(path.join(server.binDir, tool), ordered, {
    ...server.owner,
    cwd: server.cluster,
    env: serverEnvironment(),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').resume()
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdin.on('error', () => {}).end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${tool} failed (${signal ?? code}): ${said.trim().slice(-2_000)}`))
    })
  })
}

/** The name by which a server process finds its data folder; it is always started inside it. */
export function dataPath({ owner, cluster }: Pick<Server, 'owner' | 'cluster'>): string {
  return reachable(cluster, owner) ? cluster : WORKING_FOLDER
}
