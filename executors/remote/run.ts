import { randomBytes } from 'node:crypto'
import type { ClientChannel } from 'ssh2'
import type { SshConnection } from '../ssh/connection.ts'
import { ChannelRefused, SshFailure, SshLost } from '../ssh/failure.ts'
import { type ProcessEnd, RemoteProcess } from '../ssh/remote-process.ts'
import { terminate } from '../ssh/terminate.ts'
import type { StepEnd, StepTools } from '../steps/runner.ts'
import { aborted, within } from '../wait.ts'
import { Unwritable } from './command.ts'
import type { RemoteCommand } from './wrapper.ts'

type Tools = Pick<StepTools, 'link' | 'signal' | 'mayBegin' | 'begin' | 'output'>
type Handed = { process: RemoteProcess; connection: SshConnection; command: RemoteCommand }

const CHANNEL_TRIES = 5
const HAND_OVER_MS = 20_000
const NOT_FOUND = 127

/** Hands a command over to the target and stays with it until it has ended, or is stopped because the signal was given. */
export async function runOnTarget(write: (token: string) => RemoteCommand, tools: Tools): Promise<StepEnd> {
  let command: RemoteCommand | undefined
  try {
    command = write(`opsc-${randomBytes(12).toString('hex')}`)
    const handed = await handOver(command, tools)
    tools.begin()
    handed.process.feed()
    return await watch(handed, tools)
  } catch (error) {
    return notRun(error)
  } finally {
    // It may hold a secret.
    command?.stdin?.fill(0)
  }
}

/** How a step ended that could not be handed over. Throws what is none of the target's doing. */
export function notRun(error: unknown): StepEnd {
  if (error instanceof Unwritable) return { kind: 'failed', class: 'invalid-template', detail: error.message }
  if (error instanceof SshLost) return { kind: 'lost', detail: `the connection was lost: ${error.message}` }
  if (!(error instanceof SshFailure)) throw error
  if (error.class !== 'cancelled') return { kind: 'failed', class: error.class, detail: error.message }
  const detail = 'cancelled before the command was handed over'
  return { kind: 'stopped', termination: 'not-started', detail }
}

async function handOver(command: RemoteCommand, { link, signal, mayBegin, output }: Tools): Promise<Handed> {
  for (let tries = 1; ; tries += 1) {
    const lease = await link.ready(signal)
    try {
      const { connection } = lease
      const attach = (channel: ClientChannel) => new RemoteProcess(channel, command, output(connection.masks))
      mayBegin()
      const process = await within(HAND_OVER_MS, lease.exec(command.command, attach))
      if (!process) throw new SshLost('the server did not answer the request to run the command')
      return { process, connection, command }
    } catch (error) {
      // Nothing was handed over yet in both cases, so another channel or connection may be tried.
      const again = error instanceof ChannelRefused || (error instanceof SshFailure && error.transient)
      if (!again) throw error
      link.release()
      if (tries < CHANNEL_TRIES) continue
      throw new SshFailure('channel-refused', error.message)
    }
  }
}

async function watch({ process, connection, command }: Handed, { link, signal }: Tools): Promise<StepEnd> {
  const first = await Promise.race([process.ended, aborted(signal)])
  if (first !== 'stop') return judge(first, process)
  const { confirmed, detail } = await terminate({
    process,
    connection,
    another: () => link.aside(),
    sudo: command.sudo,
  })
  return { kind: 'stopped', termination: confirmed ? 'terminated' : 'unconfirmed', detail }
}

function judge(end: ProcessEnd, process: RemoteProcess): StepEnd {
  switch (end.kind) {
    case 'lost':
      return { kind: 'lost', detail: 'the connection was lost while the command ran' }
    case 'signalled':
      return { kind: 'failed', class: 'killed-by-signal', signal: end.signal, detail: `killed by ${end.signal}` }
    case 'exited':
      return judgeExit(end.exitCode, process)
  }
}

function judgeExit(exitCode: number, process: RemoteProcess): StepEnd {
  const refusal = process.sudoRefusal(exitCode)
  if (refusal) return { kind: 'failed', exitCode, ...refusal }
  if (!process.hasAnnounced) {
    const detail = `the target's shell ended with ${exitCode} before the command began`
    return { kind: 'failed', class: 'channel-refused', exitCode, detail }
  }
  if (exitCode === 0) return { kind: 'succeeded', exitCode }
  if (exitCode === NOT_FOUND) {
    return { kind: 'failed', class: 'command-not-found', exitCode, detail: 'a command was not found (exit code 127)' }
  }
  return { kind: 'failed', class: 'exit-nonzero', exitCode, detail: `exit code ${exitCode}` }
}
