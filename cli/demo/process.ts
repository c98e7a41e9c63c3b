import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

const STOP_MS = 30_000

/** Starts another command of this program, through the same entry this one was started with. */
export function startSelf(args: string[], stdin: 'pipe' | 'ignore'): ChildProcess {
  const entry = process.argv[1]
  if (!entry) throw new Error('started without a script')
  return spawn(process.execPath, [entry, ...args], { stdio: [stdin, 'pipe', 'pipe'] })
}

/** Runs another command to its end; answers its stdout. */
export async function runSelf(args: string[]): Promise<string> {
  const child = startSelf(args, 'ignore')
  const output = { out: '', err: '' }
  child.stdout?.on('data', data => {
    output.out += data
  })
  child.stderr?.on('data', data => {
    output.err += data
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`opsconductor ${args.join(' ')} failed:\n${output.err || output.out}`)
  return output.out
}

/** Ends a child in order; by force only when it does not obey. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.stdin?.end()
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await gone
  clearTimeout(force)
}
