import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { findSshd, startOpenSsh } from './demo/openssh.ts'
import { startOwnServer } from './demo/own-server.ts'
import { newKeyPair } from './ssh/key-pair.ts'

type KeyPair = { private: string; public: string }
export type DemoKeys = { username: string; host: KeyPair; user: KeyPair }
export type DemoServer = { kind: 'openssh' | 'own'; port: number; stop(): Promise<void> }

// All of 127.0.0.0/8 is this machine on Linux; elsewhere only one address is.
const HOSTS = process.platform === 'linux' ? [1, 2, 3, 4, 5].map(i => `127.0.0.${i}`) : ['127.0.0.1']

/**
 * A throwaway SSH server on loopback, with keys of its own, for as long as standard input stays open. Prints one JSON
 * line once it serves: `{kind, hosts, port, username, hostKey, privateKeyFile}`. OpenSSH where it is installed and
 * lets this user in, else a small server of its own.
 */
export async function demoSshServer(): Promise<number> {
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-demo-ssh-'))
  const keys = { username: nameOfUser(), host: newKey(), user: newKey() }
  const privateKeyFile = path.join(folder, 'login_key')
  writeFileSync(privateKeyFile, keys.user.private, { mode: 0o600 })
  const ended = endOfInput()
  let server: DemoServer | undefined
  try {
    server = await startBest(folder, keys)
    const { kind, port } = server
    const { username, host } = keys
    console.log(JSON.stringify({ kind, hosts: HOSTS, port, username, hostKey: host.public, privateKeyFile }))
    await ended
    return 0
  } finally {
    await server?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startBest(folder: string, keys: DemoKeys): Promise<DemoServer> {
  const sshd = findSshd('/usr/bin:/usr/lib/ssh')
  if (sshd) {
    try {
      return await startOpenSsh(sshd, folder, HOSTS, keys)
    } catch {
      // A locked account, no login shell, a read-only /run: the other server needs none of it.
    }
  }
  return await startOwnServer(HOSTS, keys)
}

function newKey(): KeyPair {
  const pair = newKeyPair()
  return { private: pair.private, public: pair.public.split(' ').slice(0, 2).join(' ') }
}

function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run under a number that has no name.
    return 'demo'
  }
}

function endOfInput(): Promise<void> {
  return new Promise(resolve => {
    process.stdin.resume().on('end', resolve).on('close', resolve).on('error', resolve)
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
}
