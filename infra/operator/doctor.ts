import { parseArgs } from 'node:util'
import { loadConfig } from '../config.ts'
import { examine, exitCode } from './doctor/examine.ts'
import type { Finding } from './doctor/facts.ts'
import { gather } from './doctor/gather.ts'

const usage = `opsconductor doctor [--json]

Names settings that are insecure or doubtful, with what to do: the configuration of this shell, the files it names, this
machine, and where a system runs its processes and its database. Changes nothing. Exit code: 0 nothing but notes,
1 something is doubtful, 2 something is insecure.`

/** `opsconductor doctor`, with the configuration that the system is started with. Answers the exit code. */
export async function doctor(argv: string[]): Promise<number> {
  const options = { json: { type: 'boolean' }, help: { type: 'boolean' } } as const
  const { values } = parseArgs({ args: argv, options })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const findings = examine(await gather(loadConfig(), new Date().toISOString()))
  if (values.json) console.log(JSON.stringify({ findings }, null, 2))
  else for (const line of told(findings)) console.log(line)
  return exitCode(findings)
}

function told(findings: readonly Finding[]): string[] {
  if (findings.length === 0) return ['Nothing to say against it.']
  return findings.map(({ id, severity, what, todo }) => `${severity.toUpperCase()}  ${what}  [${id}]\n    ${todo}`)
}
