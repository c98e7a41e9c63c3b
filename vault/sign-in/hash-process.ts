import { writeFileSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import { hashSync, verifySync } from '@node-rs/argon2'
import { z } from 'zod'

/** What the process is asked: without `hashed`, a hash of the passphrase; with it, whether it is of this passphrase. */
const question = z.object({ id: z.int(), passphrase: z.string(), hashed: z.string().optional() })
export type HashQuestion = z.output<typeof question>
export type HashAnswer = { id: number; answer: string | boolean } | { id: number; error: string }

/** RFC 9106, with the parameters OWASP names for it: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 }
/** Behind everything else, but not starved by it: a third of what a process with usual priority gets. */
const NICE = 5

/** Argon2id as a process of its own, one question after another, so that the machine can put everything else first. */
function serve(): void {
  giveWay()
  process.on('SIGUSR1', () => undefined)
  process.on('disconnect', () => process.exit())
  process.on('message', message => {
    const { id, passphrase, hashed } = question.parse(message)
    process.send?.(answered(id, () => (hashed ? verifySync(hashed, passphrase) : hashSync(passphrase, PARAMETERS))))
  })
}

function answered(id: number, work: () => string | boolean): HashAnswer {
  try {
    return { id, answer: work() }
  } catch (error) {
    return { id, error: String(error) }
  }
}

/** Where it may: a system that allows nobody to is no reason not to sign anybody in. */
function giveWay(): void {
  const nice = Math.max(NICE, getPriority())
  tried(() => setPriority(nice))
  // Where the kernel weighs sessions against each other first (sched(7), autogroup), the session has to give way.
  tried(() => writeFileSync('/proc/self/autogroup', String(nice)))
}

function tried(work: () => void): void {
  try {
    work()
  } catch {
    // It goes on as it is.
  }
}

serve()
