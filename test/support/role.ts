import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export type StartedRole = {
  endpoints: Record<string, string>
  /** Ends it with SIGKILL and waits until it is gone. */
  kill9(): Promise<void>
}

const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))

/** Starts one role as its own process and waits until it is ready; it ends with the test. */
export async function startRole(
  t: { teardown(fn: () => unknown): void },
  role: string,
  env: Record<string, string>,
): Promise<StartedRole> {
  const child = spawn(process.execPath, ['--no-warnings', ENTRY, role], {
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
    env: { PATH: process.env.PATH, OPSCONDUCTOR_READY_FD: '3', OPSCONDUCTOR_PARENT_PIPE: '1', ...env },
  })
  const gone = once(child, 'exit')
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await gone
  }
  t.teardown(() => end('SIGTERM'))
  const pipe = child.stdio[3]
  if (!pipe || !('read' in pipe)) throw new Error('no readiness pipe')
  const ended = gone.then(([code]) => Promise.reject(new Error(`${role} ended with ${code} at its start`)))
  ended.catch(() => {})
  const [line] = await Promise.race([once(createInterface(pipe), 'line'), ended])
  return { endpoints: JSON.parse(String(line)).endpoints, kill9: () => end('SIGKILL') }
}
