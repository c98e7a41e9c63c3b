import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { HashAnswer, HashQuestion } from './hash-process.ts'

/** Argon2id in a process with low priority. What it was asked when it ends is rejected; the next question starts it again. */
export interface Hasher {
  hash(passphrase: string): Promise<string>
  verify(hashed: string, passphrase: string): Promise<boolean>
  stop(): Promise<void>
}

const ENTRY = fileURLToPath(new URL('./hash-process.js', import.meta.url))
type Waiting = { resolve(answer: string | boolean): void; reject(error: Error): void }

export function createHasher(): Hasher {
  const waiting = new Map<number, Waiting>()
  let running: ChildProcess | undefined
  let asked = 0

  const start = (): ChildProcess => {
    // A session of its own, and nothing of what the vault was told.
    const child = fork(ENTRY, [], {
      detached: true,
      env: {},
      execArgv: ['--no-warnings'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    child.on('message', message => settle(waiting, message as HashAnswer)) // sent by nobody but our own program
    child.on('error', () => child.kill('SIGKILL'))
    child.once('exit', () => {
      if (running === child) running = undefined
      for (const { reject } of waiting.values()) reject(new Error('the process that checks passphrases has ended'))
      waiting.clear()
    })
    return child
  }
  const ask = (question: Omit<HashQuestion, 'id'>) =>
    new Promise<string | boolean>((resolve, reject) => {
      running ??= start()
      asked += 1
      waiting.set(asked, { resolve, reject })
      running.send({ id: asked, ...question })
    })
  return {
    hash: async passphrase => String(await ask({ passphrase })),
    verify: async (hashed, passphrase) => (await ask({ passphrase, hashed })) === true,
    async stop() {
      const child = running
      if (!child) return
      const gone = new Promise(resolve => child.once('exit', resolve))
      if (child.connected) child.disconnect()
      await gone
    },
  }
}

function settle(waiting: Map<number, Waiting>, answer: HashAnswer): void {
  const asking = waiting.get(answer.id)
  waiting.delete(answer.id)
  if ('error' in answer) asking?.reject(new Error(answer.error))
  else asking?.resolve(answer.answer)
}
