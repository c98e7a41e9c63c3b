import { setTimeout as delay } from 'node:timers/promises'
import type { Runtime } from '../../infra/runtime-file.ts'
import { isAlive } from '../support/process-tree.ts'
import type { Random } from './random.ts'

export type Kill = { victim: string; at: number }
type NemesisOptions = {
  kills: number
  random: Random
  runtime(): Runtime
  onKill(kill: Kill): void
}

/** Kills one process after the other, without warning; the supervisor itself is left alone. */
export async function nemesis({ kills, random, runtime, onKill }: NemesisOptions): Promise<void> {
  for (let done = 0; done < kills; ) {
    await delay(random.between(300, 3_000))
    const alive = victims(runtime()).filter(({ pid }) => isAlive(pid))
    if (alive.length === 0) continue
    const { victim, pid } = random.pick(alive)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      continue
    }
    done += 1
    onKill({ victim, at: performance.now() })
  }
}

/** Every role's process; of Postgres the launcher or the server behind it. */
function victims({ roles }: Runtime): Array<{ victim: string; pid: number }> {
  return Object.entries(roles).flatMap(([role, { pid, endpoints }]) => {
    const { postmaster } = endpoints
    const server = typeof postmaster === 'number' ? [{ victim: 'postgres server', pid: postmaster }] : []
    return [{ victim: role, pid }, ...server]
  })
}
