import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { UsageError } from './errors.ts'

const profile = z.strictObject({ url: z.url().optional(), apiKey: z.string().optional() })
const configFile = z.strictObject({ current: z.string().default('default'), profiles: z.record(z.string(), profile) })

export type Output = 'table' | 'json' | 'yaml'
export type Flags = { url?: string; profile?: string; output?: string }
export type Settings = { url: string; apiKey: string | undefined; output: Output }

/** Flag over environment over profile; the profile file is `~/.config/opsconductor/config.yaml`. */
export function resolveSettings(flags: Flags, env: NodeJS.ProcessEnv, isTerminal: boolean): Settings {
  const chosen = readProfile(flags.profile, env)
  const port = env.OPSCONDUCTOR_PORT ?? '7400'
  return {
    url: (flags.url ?? given(env.OPSCONDUCTOR_URL) ?? chosen.url ?? `http://127.0.0.1:${port}`).replace(/\/+$/, ''),
    apiKey: given(env.OPSCONDUCTOR_API_KEY) ?? chosen.apiKey,
    output: outputOf(flags.output, isTerminal),
  }
}

/** A variable that is set to nothing says nothing. */
const given = (value: string | undefined): string | undefined => (value === '' ? undefined : value)

function outputOf(flag: string | undefined, isTerminal: boolean): Output {
  if (flag === undefined) return isTerminal ? 'table' : 'json'
  if (flag === 'table' || flag === 'json' || flag === 'yaml') return flag
  throw new UsageError(`--output is table, json or yaml, not ${flag}`)
}

function readProfile(name: string | undefined, env: NodeJS.ProcessEnv): z.output<typeof profile> {
  const file = join(env.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'opsconductor', 'config.yaml')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    if (name !== undefined) throw new UsageError(`there is no profile ${name}: ${file} does not exist`)
    return {}
  }
  const parsed = configFile.safeParse(parse(text))
  if (!parsed.success) throw new UsageError(`${file}: ${z.prettifyError(parsed.error)}`)
  const found = parsed.data.profiles[name ?? parsed.data.current]
  if (!found && name !== undefined) throw new UsageError(`there is no profile ${name} in ${file}`)
  return found ?? {}
}
