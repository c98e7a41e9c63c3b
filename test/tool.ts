import { spawnSync } from 'node:child_process'

export type Outcome = { ok: boolean; detail: string }

/** Runs an installed tool to its end. */
export function tool(name: string, ...args: string[]): { status: number | null; output: string } {
  const command = [`node_modules/.bin/${name}`, ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8', maxBuffer: 256 << 20 })
  return { status, output: stdout || stderr }
}

export function run(name: string, ...args: string[]): Outcome {
  const { status, output } = tool(name, ...args)
  return { ok: status === 0, detail: status === 0 ? '' : output }
}

/** The build does not check types, so that a first start is soon there. */
export const checkTypes = (): Outcome => run('tsc', '-p', '.', '--noEmit')
