import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type Results, TapReader } from './tap-results.ts'

export type TapRun = {
  /** Compiled spec files. */
  files: string[]
  coverage: boolean
  say: (line: string) => void
}

const NOISE = /^ *(ok |1\.\.|# (Subtest|time)|$)/

/** Runs compiled specs under tap; a line for each file, and for a file that fails what failed in it. */
export async function runTap({ files, coverage, say }: TapRun): Promise<Results> {
  applyPlugins(say)
  const report = coverage ? '--coverage-report=none' : '--disable-coverage'
  const args = ['node_modules/.bin/tap', '--reporter=tap', report, ...files]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: testEnvironment() })
  const forward = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGINT', forward).on('SIGTERM', forward)
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  const reader = new TapReader()
  let told: string[] = []
  for await (const line of createInterface(child.stdout)) {
    const done = reader.line(line)
    if (!done) told.push(line)
    if (!done) continue
    say(`${done.ok ? 'ok    ' : 'FAILED'} ${done.file.replace(/^build\//, '')}`)
    if (!done.ok) for (const failure of told.filter(text => !NOISE.test(text))) say(failure)
    told = []
  }
  await ended
  process.off('SIGINT', forward).off('SIGTERM', forward)
  return reader.results
}

// As installed, tap loads the TypeScript compiler into every spec's process. It rebuilds itself without it, as .taprc
// asks, but runs as it was until the next time.
function applyPlugins(say: (line: string) => void): void {
  const assembled = readFileSync('node_modules/@tapjs/test/test-built/src/index.ts', 'utf8')
  if (!assembled.includes('@tapjs/typescript')) return
  say('Preparing the test runner (once) …')
  spawnSync(process.execPath, ['node_modules/.bin/tap', 'build'], { stdio: 'ignore' })
}

// Settings of the person at the keyboard are none of the specs' business.
function testEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env)
  const foreign = (name: string) => name.startsWith('OPSCONDUCTOR_') && !name.startsWith('OPSCONDUCTOR_TEST_')
  return Object.fromEntries(entries.filter(([name]) => !foreign(name)))
}
