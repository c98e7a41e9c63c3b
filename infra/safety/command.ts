import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { type Shell, shells } from './facts.ts'
import { judge, type Verdict } from './judge.ts'

const usage = `opsconductor explain-command --shell posix|powershell|cmd [--environment <name>] [--targets <number>] [-o json|table] -- <command>

Says whether a command would be allowed, would need a person's approval or would be refused, and why.
Nothing is run and no running system is needed. The command is one argument, or several joined by a space;
with - in its place it is read from standard input.

  --shell        which shell reads the command
  --environment  judge as for this environment, for example production
  --targets      judge as for a run on this many machines (default 1)
  -o             json or table (default: table on a terminal, else json)

Exit codes: 0 judged, whatever the decision; 2 usage.`

const options = {
  shell: { type: 'string' },
  environment: { type: 'string' },
  targets: { type: 'string' },
  output: { type: 'string', short: 'o' },
  help: { type: 'boolean', short: 'h' },
} as const

/** `opsconductor explain-command …`. Answers the exit code. */
export async function explainCommand(argv: string[]): Promise<number> {
  const given = read(argv)
  if (typeof given === 'string') {
    if (given === usage) console.log(usage)
    else console.error(`${given}\n\n${usage}`)
    return given === usage ? 0 : 2
  }
  const { shell, environment, targets, output } = given
  const command = given.command === '-' ? await text(process.stdin) : given.command
  const verdict = await judge({ shell, command, environment, targets })
  console.log(output === 'json' ? JSON.stringify(verdict) : table(verdict))
  return 0
}

type Given = {
  shell: Shell
  environment: string | undefined
  targets: number
  output: 'json' | 'table'
  command: string
}

// A text instead says what is wrong, or is the help asked for.
function read(argv: string[]): Given | string {
  const parsed = parse(argv)
  if (typeof parsed === 'string') return parsed
  const { values, positionals } = parsed
  if (values.help) return usage
  const shell = shells.find(name => name === values.shell)
  if (!shell) return `--shell takes ${shells.join(', ')}`
  if (values.targets !== undefined && !/^\d{1,9}$/.test(values.targets)) return '--targets takes a number'
  const output = values.output ?? (process.stdout.isTTY ? 'table' : 'json')
  if (output !== 'json' && output !== 'table') return '-o takes json or table'
  if (positionals.length === 0) return 'a command is needed after --'
  const { environment } = values
  return { shell, environment, targets: Number(values.targets ?? 1), output, command: positionals.join(' ') }
}

function parse(argv: string[]) {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true })
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function table({ decision, rule, reason, facts }: Verdict): string {
  const lines = facts.map(({ verb, effect, targets, kinds, via }) =>
    [...via, verb, effect && `(${effect})`, ...targets, kinds.length > 0 && `[${kinds.join(', ')}]`]
      .filter(Boolean)
      .join(' '),
  )
  return [`${decision}${rule ? `  ${rule}` : ''}`, reason, ...lines.map(line => `  ${line}`)].join('\n')
}
