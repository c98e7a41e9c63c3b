import { ArtifactFailure } from '../artifacts.ts'
import { ChannelRefused, SshFailure, SshLost } from '../ssh/failure.ts'
import type { StepEnd, StepTools } from '../steps/runner.ts'
import { aborted, backoffMs, pause, within } from '../wait.ts'
import type { Remote } from './digest.ts'
import { PathRefused } from './path.ts'
import { SftpRefused, SftpSession } from './session.ts'
import { Stopped } from './transfer.ts'
import { TransferFailed } from './write.ts'

const TRIES = 4
const LONGEST_PAUSE_MS = 5_000
/** A transfer that is told to stop does so at its next packet; one that is stuck never does. */
const STOP_MS = 5_000

/**
 * Lets the work use file transfer, over a new connection when one is lost: the work is called again and must know how
 * far it came. Rejects with what the work rejects, SshLost once all tries are used up, and SshFailure.
 */
export async function overSftp<T>(
  { link, signal, mayBegin, begin }: Pick<StepTools, 'link' | 'signal' | 'mayBegin' | 'begin'>,
  work: (remote: Remote) => Promise<T>,
): Promise<T> {
  let lost: SshLost | undefined
  for (let tries = 1; ; tries += 1) {
    try {
      const lease = await link.ready(signal)
      begin()
      const session = new SftpSession(await lease.sftp())
      // After that it goes on with what it has begun.
      if (tries === 1) mayBegin()
      try {
        return await work({ connection: lease.connection, session })
      } finally {
        session.end()
      }
    } catch (error) {
      link.release()
      if (error instanceof SshLost) lost = error
      else if (!isPassing(error, lost !== undefined)) throw error
      if (signal.aborted) throw new Stopped()
      if (tries === TRIES) throw lost ?? new SshFailure('channel-refused', messageOf(error))
      await pause(backoffMs(tries * 2, LONGEST_PAUSE_MS), signal)
    }
  }
}

/** What another try may get over: a channel too many, a server that is busy; after a loss, one that is on its way back. */
function isPassing(error: unknown, wasLost: boolean): boolean {
  if (error instanceof ChannelRefused) return true
  if (!(error instanceof SshFailure)) return false
  return error.transient || (wasLost && (error.class === 'refused' || error.class === 'unreachable'))
}

/** Waits for a transfer, a little longer when it is to be stopped. */
export async function untilStopped(transfer: Promise<StepEnd>, signal: AbortSignal): Promise<StepEnd> {
  const first = await Promise.race([transfer, aborted(signal)])
  if (first !== 'stop') return first
  const detail = 'the transfer did not stop in time'
  return (await within(STOP_MS, transfer)) ?? { kind: 'stopped', termination: 'unconfirmed', detail }
}

/** How a step ends whose transfer failed so, when nothing was changed. Throws what is none of the target's doing. */
export function transferEnd(error: unknown, signal: AbortSignal): StepEnd {
  if (error instanceof Stopped || signal.aborted) {
    return { kind: 'stopped', termination: 'terminated', detail: 'the transfer was stopped' }
  }
  if (error instanceof PathRefused) return { kind: 'failed', class: 'invalid-template', detail: error.message }
  if (error instanceof SshFailure) return { kind: 'failed', class: error.class, detail: error.message }
  const isOurs = error instanceof SftpRefused || error instanceof TransferFailed || error instanceof ArtifactFailure
  if (!isOurs && !(error instanceof SshLost)) throw error
  return { kind: 'failed', class: 'file-transfer', detail: messageOf(error).slice(0, 500) }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'unknown')
