import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))

/** Starts one role as its own process, waits until it is ready and answers its endpoints; it ends with the bench. */
export async function startRole(
  t: { teardown(fn: () => unknown): void },
  role: string,
  env: Record<string, string>,
): Promise<Record<string, string>> {
  const child = spawn(process.execPath, [ENTRY, role], {
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
    env: { PATH: process.env.PATH, OPSCONDUCTOR_READY_FD: '3', OPSCONDUCTOR_PARENT_PIPE: '1', ...env },
  })
  const gone = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await gone
  })
  const pipe = child.stdio[3]
  if (!pipe || !('read' in pipe)) throw new Error('no readiness pipe')
  const line = once(createInterface(pipe), 'line')
  const [text] = await Promise.race([
    line,
    gone.then(([code]) => Promise.reject(new Error(`${role} ended with ${code}`))),
  ])
  return JSON.parse(String(text)).endpoints
}
