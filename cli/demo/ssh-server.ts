import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { startSelf, stop } from './process.ts'

export type DemoSshServer = {
  kind: string
  hosts: string[]
  port: number
  username: string
  hostKey: string
  privateKey: string
  stop(): Promise<void>
}

/** A throwaway SSH server on loopback, in a process of its own that ends with this one. */
export async function startSshServer(): Promise<DemoSshServer> {
  const child = startSelf(['demo-ssh-server'], 'pipe')
  let complaint = ''
  child.stderr?.on('data', data => {
    complaint += data
  })
  if (!child.stdout) throw new Error('no output from the SSH server')
  for await (const line of createInterface({ input: child.stdout })) {
    const { privateKeyFile, ...server } = JSON.parse(line)
    return { ...server, privateKey: readFileSync(privateKeyFile, 'utf8'), stop: () => stop(child) }
  }
  throw new Error(`the throwaway SSH server did not start:\n${complaint}`)
}
