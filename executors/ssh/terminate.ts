import type { ClientChannel } from 'ssh2'
import type { Announcement } from '../output/marker.ts'
import { stopCommand } from '../remote/stop-command.ts'
import { type Sudo, SudoDialogue } from '../remote/sudo.ts'
import type { RemoteCommand } from '../remote/wrapper.ts'
import { within } from '../wait.ts'
import type { SshConnection } from './connection.ts'
import type { RemoteProcess } from './remote-process.ts'

export type Termination = { confirmed: boolean; detail: string }

const GRACE_SECONDS = 5
const ANNOUNCED_MS = 3_000
/** On an open connection a channel opens in milliseconds; a stuck one is told by its silence. */
const FIRST_TRY_MS = 3_000
const STOP_MS = (GRACE_SECONDS + 8) * 1_000

type Stopping = {
  process: RemoteProcess
  connection: SshConnection
  another(): Promise<SshConnection>
  /** The command runs by sudo, so it takes sudo to signal it. */
  sudo: Sudo | undefined
}

/**
 * Stops a command for good: TERM, five seconds later KILL to all of its process group, over another channel than its
 * own, or another connection when this one is stuck; then looks whether anything of it is left. Never throws.
 */
export async function terminate(stopping: Stopping): Promise<Termination> {
  const { process } = stopping
  const announced = await process.announcement(ANNOUNCED_MS)
  const result = announced ? await stop(announced, stopping) : unannounced
  await within(2_000, process.ended)
  process.abandon()
  return result
}

const unannounced = { confirmed: false, detail: 'the command had not told its process group' }

async function stop(announced: Announcement, { connection, another, sudo }: Stopping): Promise<Termination> {
  const command = stopCommand(announced, GRACE_SECONDS, sudo)
  const said = connection.isOpen() ? await answer(connection, command) : ''
  if (said !== '') return judge(announced, said)
  try {
    const fresh = await another()
    try {
      return judge(announced, await answer(fresh, command))
    } finally {
      fresh.end()
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown'
    return { confirmed: false, detail: `no second connection to stop it: ${why}`.slice(0, 500) }
  }
}

/** What the stopping command printed; nothing when the connection is stuck or gone. */
async function answer(connection: SshConnection, command: RemoteCommand): Promise<string> {
  try {
    const output = await within(
      FIRST_TRY_MS,
      connection.exec(command.command, channel => ({ read: outputOf(channel, command) })),
    )
    return (output && (await within(STOP_MS, output.read))) ?? ''
  } catch {
    return ''
  }
}

function outputOf(channel: ClientChannel, { token, sudo }: RemoteCommand): Promise<string> {
  const dialogue = sudo && new SudoDialogue({ sudo, token, stdin: channel, input: undefined })
  return new Promise(resolve => {
    let said = ''
    channel.stderr.on('data', (bytes: Buffer) => dialogue?.push(bytes))
    channel.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString('latin1')).slice(-1_000)
    })
    channel.on('error', () => undefined).on('close', () => resolve(said))
    if (!dialogue) channel.end()
  })
}

function judge({ pgid, pid }: Announcement, said: string): Termination {
  if (said.includes('opsc-gone')) return { confirmed: true, detail: `process group ${pgid} is gone` }
  if (said.includes('opsc-alive')) return { confirmed: false, detail: `process group ${pgid} survived KILL` }
  if (said.includes('opsc-alone')) {
    return { confirmed: false, detail: `process ${pid} was signalled; it had no process group of its own` }
  }
  return { confirmed: false, detail: `nobody told what became of process group ${pgid}` }
}
