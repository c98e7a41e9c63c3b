import { Command, CommanderError } from 'commander'
import { accessCommands } from './commands/access.ts'
import { approvalCommand } from './commands/approval.ts'
import { auditCommand } from './commands/audit.ts'
import { breakGlassCommand } from './commands/break-glass.ts'
import { credentialCommand } from './commands/credential.ts'
import { executorCommand } from './commands/executor.ts'
import { genericCommand } from './commands/generic.ts'
import { jobCommand } from './commands/job.ts'
import { loginCommands } from './commands/login.ts'
import { runCommand } from './commands/run.ts'
import { apiKeyCommand, serviceAccountCommand, sessionCommand } from './commands/service-account.ts'
import { sodCommand } from './commands/sod.ts'
import { statusCommand } from './commands/status.ts'
import { targetCommand } from './commands/target.ts'
import { userCommand } from './commands/user.ts'
import { demo } from './demo.ts'
import { exitCode, explain } from './errors.ts'

const examples = `
Examples:
  $ opsconductor credential create deploy --username deploy --private-key ~/.ssh/id_ed25519
  $ opsconductor target create web-1 --address web-1.example.org --tag env=prod --credential deploy
  $ opsconductor job create uptime --command uptime --labels env=prod
  $ opsconductor run create uptime --follow
  $ opsconductor run create release --param version=1.4.2 --plan
  $ opsconductor run results 0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d --step install
  $ opsconductor audit list --limit 20

The system itself: opsconductor up, eventstore stats|verify|backup, projections status|rebuild, admin-key create, nats-config, doctor.
Settings: flag, then OPSCONDUCTOR_URL and OPSCONDUCTOR_API_KEY, then ~/.config/opsconductor/config.yaml.
Without an API key: whoever has signed in with opsconductor login.
Exit codes: 0 ok, 1 failed, 2 usage, 3 not allowed, 4 not found,
5 conflict, or somebody has to approve, confirm or resolve something, 124 timed out, 130 interrupted.`

function build(): Command {
  const program = new Command('opsconductor')
    .description('Run jobs on machines, and prove afterwards what happened.')
    .option('--url <url>', 'where the API is')
    .option('--profile <name>', 'which profile of the config file')
    .option('--justification <text>', 'why you do this: kept with every event, and asked for by some rules')
    .option('--ticket <id>', 'where it was asked for: kept with every event')
    .option('-o, --output <form>', 'table, json or yaml (default: table on a terminal, else json)')
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text) })
    .addHelpText('after', examples)
    .exitOverride()
  for (const add of [
    targetCommand,
    credentialCommand,
    jobCommand,
    runCommand,
    approvalCommand,
    executorCommand,
    breakGlassCommand,
    sodCommand,
    auditCommand,
    accessCommands,
    statusCommand,
    loginCommands,
    userCommand,
    serviceAccountCommand,
    apiKeyCommand,
    sessionCommand,
    genericCommand,
  ])
    add(program)
  program
    .command('demo')
    .description('the main job in under a minute, on a throwaway SSH server')
    .option('--keep', 'leave the system up afterwards')
    .action(async (options: { keep?: true }) => {
      process.exitCode = await demo(options.keep === true)
    })
  return program
}

/** Runs one command line (without `node` and the script); answers the exit code. */
export async function main(argv: string[]): Promise<number> {
  process.on('SIGINT', interrupted)
  // For good: what was written last may fail only after we are done here.
  if (!process.stdout.listeners('error').includes(leaveQuietly)) process.stdout.on('error', leaveQuietly)
  const program = build()
  for (const command of everyCommand(program)) command.exitOverride()
  try {
    await program.parseAsync(argv, { from: 'user' })
    return Number(process.exitCode ?? exitCode.ok)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage
    return explain(error)
  } finally {
    process.off('SIGINT', interrupted)
  }
}

const interrupted = () => process.exit(exitCode.interrupted)

/** `| head` closes our output early; that is no fault. */
function leaveQuietly(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(exitCode.ok)
  throw error
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}
