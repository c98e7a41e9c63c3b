import { realpathSync } from 'node:fs'
import type { Config } from './infra/config.ts'
import type { StartRole } from './infra/lifecycle.ts'

type RoleEntry = { load: () => Promise<{ start: StartRole<Config> }>; answersHealth: boolean }

// Loaded on demand: a role loads what it runs and nothing else, and `--help` loads next to nothing.
const roles = new Map<string, RoleEntry>([
  ['event-store-node', { load: () => import('./infra/embedded/roles/event-store-node.ts'), answersHealth: false }],
  ['postgres', { load: () => import('./infra/embedded/roles/postgres.ts'), answersHealth: false }],
  ['broker', { load: () => import('./infra/embedded/roles/broker.ts'), answersHealth: false }],
  ['vault', { load: () => import('./vault/main.ts'), answersHealth: false }],
])

/** Runs one command to its end, or one role until it is stopped. The result is left in the process's exit code. */
export async function main(argv: string[]): Promise<void> {
  const [command = '--help', ...rest] = argv
  const role = roles.get(command)
  if (role) await serve(command, role)
  else if (command === 'up') process.exitCode = await up(rest)
  else if (command === 'admin-key') process.exitCode = await adminKey(rest)
  else process.exitCode = await (await import('./cli/main.ts')).main(argv)
}

async function serve(name: string, { load, answersHealth }: RoleEntry): Promise<void> {
  const [{ loadConfig }, { createLog }, { runRole }] = await Promise.all([
    import('./infra/config.ts'),
    import('./infra/log.ts'),
    import('./infra/lifecycle.ts'),
  ])
  const config = await plainly(async () => loadConfig())
  process.title = `opsconductor ${name}`
  const { start } = await load()
  const { readyFd, parentPipe, host, healthPort } = config
  const health = answersHealth ? undefined : { host, port: healthPort }
  await runRole(name, start, config, createLog(name, config.logLevel), { readyFd, parentPipe, health })
}

async function up(argv: string[]): Promise<number> {
  const supervisor = await import('./infra/embedded/supervisor/up.ts')
  return plainly(() => supervisor.up(argv))
}

async function adminKey(argv: string[]): Promise<number> {
  const operator = await import('./infra/operator/admin-key.ts')
  return plainly(async () => operator.adminKey(argv))
}

// Mistakes in the settings and the like: the message is written for the person who can put it right.
async function plainly<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof Error) || !['ConfigError', 'CannotStart'].includes(error.name)) throw error
    console.error(error.message)
    process.exit(2)
  }
}

const script = process.argv[1]
if (script && realpathSync(script) === import.meta.filename) await main(process.argv.slice(2))
