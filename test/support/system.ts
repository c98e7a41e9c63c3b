import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Runtime, readRuntime } from '../../infra/runtime-file.ts'
import { descendants, isAlive } from './process-tree.ts'

export type StartedSystem = {
  dataDir: string
  child: ChildProcess
  /** Everything it printed so far. */
  output(): string
  /** What it wrote about itself. */
  runtime(): Runtime
  /** Resolves with the exit code and the whole output. */
  ended: Promise<{ code: number | null; output: string }>
  /** Resolves once a printed line matches; rejects when the process ends before. */
  printed(pattern: RegExp): Promise<void>
}

export type SystemOptions = {
  /** A folder of an earlier start; a fresh one, removed at the end, when not given. */
  dataDir?: string
  args?: string[]
  env?: Record<string, string>
  /** Command line before `up`; default: node and the built entry. */
  command?: string[]
}

type Teardown = { teardown(fn: () => unknown): unknown }

const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))

/** A short temporary folder, removed with what lies beside it (`<folder>-keys`) when the test ends. */
export function dataFolder(t: Teardown): string {
  const parent = mkdtempSync(path.join(tmpdir(), 'opsc-'))
  t.teardown(() => rmSync(parent, { recursive: true, force: true }))
  return path.join(parent, 'data')
}

/** Starts `opsconductor up` with an open port; ends it, and whatever it left, with the test. */
export function startSystem(t: Teardown, options: SystemOptions = {}): StartedSystem {
  const dataDir = options.dataDir ?? dataFolder(t)
  const [program = '', ...before] = options.command ?? [process.execPath, ENTRY]
  const env = { ...process.env, OPSCONDUCTOR_DATA_DIR: dataDir, OPSCONDUCTOR_PORT: '0', ...options.env }
  const child = spawn(program, [...before, 'up', ...(options.args ?? [])], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const waiting = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', line => {
      output += `${line}\n`
      for (const look of waiting) look()
    })
  }
  const ended = once(child, 'close').then(([code]) => ({ code, output }))
  const printed = (pattern: RegExp) => {
    let look = () => {}
    const seen = new Promise<void>(resolve => {
      look = () => pattern.test(output) && resolve()
      waiting.add(look)
      look()
    })
    const never = ended.then(() => Promise.reject(new Error(`ended before it printed ${pattern}:\n${output}`)))
    never.catch(() => {})
    return Promise.race([seen, never]).finally(() => waiting.delete(look))
  }
  const runtime = () => {
    const found = readRuntime(dataDir)
    if (!found) throw new Error(`no runtime file in ${dataDir}:\n${output}`)
    return found
  }
  t.teardown(() => end(child, ended))
  return { dataDir, child, output: () => output, runtime, ended, printed }
}

async function end(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const below = descendants(child.pid)
  child.kill('SIGTERM')
  const force = setTimeout(() => {
    for (const pid of [child.pid ?? 0, ...below].filter(isAlive)) process.kill(pid, 'SIGKILL')
  }, 20_000)
  await ended
  clearTimeout(force)
}
