import type { ChildProcess } from 'node:child_process'
import { note } from '../output.ts'
import { runSelf, startSelf, stop } from './process.ts'

const READY_MS = 120_000
const POLL_MS = 100
const KEY_SECONDS = 8 * 3600

export type System = { url: string; apiKey: string; started: boolean; leave(): void; stop(): Promise<void> }

/** Uses the system that is up on this machine, or starts it; either way with an API key of the demo's own. */
export async function openSystem(url: string): Promise<System> {
  const key = await demoKey()
  const revoke = key.id ? () => runSelf(['admin-key', 'remove', key.id ?? '']).then(() => {}) : async () => {}
  if (await isReady(url)) return { url, apiKey: key.key, started: false, leave: () => {}, stop: revoke }
  const child = startSelf(['up'], 'ignore')
  let address: string
  try {
    address = await untilReady(child, url)
  } catch (error) {
    await stop(child)
    await revoke()
    throw error
  }
  return {
    url: address,
    apiKey: key.key,
    started: true,
    leave: () => {
      for (const stream of [child.stdout, child.stderr]) stream?.destroy()
      child.unref()
    },
    stop: async () => {
      await stop(child)
      await revoke()
    },
  }
}

async function demoKey(): Promise<{ key: string; id?: string }> {
  const given = process.env.OPSCONDUCTOR_API_KEY
  if (given) return { key: given }
  return JSON.parse(await runSelf(['admin-key', 'create', '--label', 'demo', '--ttl', String(KEY_SECONDS), '--json']))
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health/ready`)).ok
  } catch {
    return false
  }
}

/** Answers where it can be reached: as it says itself, for the port may have been left to the system. */
async function untilReady(child: ChildProcess, asked: string): Promise<string> {
  const tail: string[] = []
  let url = asked
  const remember = (data: Buffer) => {
    url = /(http:\/\/\S+)\/docs/.exec(data.toString())?.[1] ?? url
    tail.push(...data.toString().split('\n').filter(Boolean))
    tail.splice(0, tail.length - 20)
  }
  child.stdout?.on('data', remember)
  child.stderr?.on('data', remember)
  const deadline = Date.now() + READY_MS
  for (let waited = 0; !(await isReady(url)); waited += POLL_MS) {
    if (child.exitCode !== null) throw new Error(`the system did not start:\n${tail.join('\n')}`)
    if (Date.now() > deadline)
      throw new Error(`the system is not ready after ${READY_MS / 1000} s:\n${tail.join('\n')}`)
    if (waited > 0 && waited % 5_000 === 0)
      note(`  still starting (${waited / 1000} s); the first start prepares the database`)
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
  return url
}
