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
  ['command-api', { load: () => import('./command-api/main.ts'), answersHealth: true }],
  ['query-api', { load: () => import('./query-api/main.ts'), answersHealth: true }],
  ['api', { load: () => import('./roles/api.ts'), answersHealth: true }],
  ['projectors', { load: () => import('./projectors/main.ts'), answersHealth: false }],
  ['reactors', { load: () => import('./reactors/main.ts'), answersHealth: false }],
  ['workers', { load: () => import('./roles/workers.ts'), answersHealth: false }],
  ['executor', { load: () => import('./executors/main.ts'), answersHealth: false }],
])

type Tool = (argv: string[]) => number | Promise<number>

// For whoever runs the system, on the machine that holds its data.
const tools = new Map<string, () => Promise<Tool>>([
  ['up', async () => (await import('./infra/embedded/supervisor/up.ts')).up],
  ['admin-key', async () => (await import('./infra/operator/admin-key.ts')).adminKey],
  ['doctor', async () => (await import('./infra/operator/doctor.ts')).doctor],
  ['nats-config', async () => (await import('./infra/operator/nats-config.ts')).natsConfig],
  ['eventstore', async () => (await import('./infra/embedded/event-store/command.ts')).eventStore],
  ['projections', async () => (await import('./projectors/command.ts')).projections],
  ['vault', async () => (await import('./vault/command.ts')).vault],
  ['explain-command', async () => (await import('./infra/safety/command.ts')).explainCommand],
  ['demo-ssh-server', async () => (await import('./executors/demo-server.ts')).demoSshServer],
])

/** Runs one command to its end, or one role until it is stopped. The result is left in the process's exit code. */
export async function main(argv: string[]): Promise<void> {
  const [command = '--help', ...rest] = argv
  // `opsconductor executor` is the role, `opsconductor executor list` asks about executors; so with the vault.
  const asked = ['executor', 'vault'].includes(command) && rest.length > 0
  const role = asked ? undefined : roles.get(command)
  const tool = role ? undefined : await tools.get(command)?.()
  if (role) await serve(command, role)
  else if (tool) process.exitCode = await runTool(tool, rest)
  else process.exitCode = await (await import('./cli/main.ts')).main(argv)
}

async function runTool(tool: Tool, argv: string[]): Promise<number> {
  // Node warns that the embedded event store's TLS name is an IP address; whoever runs a tool can do nothing about it.
  process.noDeprecation = true
  return plainly(async () => tool(argv))
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

// Mistakes in the settings and the like: the message is written for the person who can put it right.
async function plainly<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof Error) || !isMistake(error)) throw error
    console.error(error.message)
    process.exit(2)
  }
}

function isMistake(error: Error): boolean {
  // What util.parseArgs refuses: an unknown option, one without its value.
  const isArgument = 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')
  return (
    isArgument ||
    ['ConfigError', 'CannotStart', 'KekRefused', 'KekFileError', 'KekUnavailable', 'KekFixed'].includes(error.name)
  )
}

const script = process.argv[1]
if (script && realpathSync(script) === import.meta.filename) await main(process.argv.slice(2))
