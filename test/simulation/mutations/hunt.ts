import { spawn } from 'node:child_process'
import type { Mutation } from './list.ts'
import { mutant } from './mutant.ts'

/** How it was noticed; undefined when it was not. */
export type Hunted = { mutation: Mutation; by: string | undefined }

const SEED_LIMIT_MS = 600_000

/** Runs worlds against the program without one of its guards until one of them is judged broken. */
export async function hunt(mutation: Mutation, seeds: number): Promise<Hunted> {
  const { folder, remove } = mutant(mutation)
  try {
    const { code, told } = await run(folder, ['build/test/simulation/first-broken.js', String(seeds)])
    return { mutation, by: code === 0 ? undefined : told || `the program ended with ${code}` }
  } finally {
    remove()
  }
}

function run(folder: string, args: string[]): Promise<{ code: number | null; told: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] })
    let told = ''
    child.stdout.on('data', data => {
      told = (told + data).slice(-2_000)
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), SEED_LIMIT_MS)
    child.on('error', reject)
    child.on('close', code => {
      clearTimeout(timer)
      resolve({ code, told: told.trim().split('\n').at(-1) ?? '' })
    })
  })
}
