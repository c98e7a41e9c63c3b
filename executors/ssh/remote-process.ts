import type { ClientChannel } from 'ssh2'
import type { Stream } from '../output/frames.ts'
import { type Announcement, MarkerFilter } from '../output/marker.ts'
import { SudoDialogue } from '../remote/sudo.ts'
import type { RemoteCommand } from '../remote/wrapper.ts'
import { within } from '../wait.ts'

export type ProcessOutput = {
  push(stream: Stream, bytes: Buffer): void
  isBacklogged(): boolean
  /** Calls back once when it may be asked again. */
  onRelief(listener: () => void): void
}

export type ProcessEnd =
  | { kind: 'exited'; exitCode: number }
  | { kind: 'signalled'; signal: string }
  /** The channel closed without a word of how the command ended. */
  | { kind: 'lost' }

/** After the command itself has ended, something it left behind may hold its output open: wait this long for it. */
const LINGER_MS = 1_000

/** A command that was handed to a target: reads its output to the end and knows how to be told of its group. */
export class RemoteProcess {
  readonly ended: Promise<ProcessEnd>
  readonly #channel: ClientChannel
  readonly #output: ProcessOutput
  readonly #filter: MarkerFilter
  readonly #command: RemoteCommand
  readonly #sudo: SudoDialogue | undefined
  #resolveAnnounced: (announcement: Announcement) => void = () => undefined
  readonly #announced: Promise<Announcement>
  #announcement: Announcement | undefined
  #exit: ProcessEnd | undefined
  #linger: NodeJS.Timeout | undefined
  #finish: (end: ProcessEnd) => void = () => undefined
  #paused = false
  #openParts = 3
  #isDone = false

  constructor(channel: ClientChannel, command: RemoteCommand, output: ProcessOutput) {
    const { token, sudo, stdin: input } = command
    this.#channel = channel
    this.#command = command
    this.#output = output
    this.#sudo = sudo && new SudoDialogue({ sudo, token, stdin: channel, input })
    this.#announced = new Promise(resolve => {
      this.#resolveAnnounced = resolve
    })
    this.#filter = new MarkerFilter(token, announcement => {
      this.#announcement = announcement
      this.#resolveAnnounced(announcement)
    })
    this.ended = new Promise(resolve => {
      this.#finish = resolve
    })
    this.#listen()
  }

  /** Sends what the command reads and closes its standard input; by sudo only when sudo has said yes. */
  feed(): void {
    if (!this.#sudo) this.#channel.end(this.#command.stdin)
  }

  /** Why sudo did not run the command; undefined when it did. Throws when no password could be had for it. */
  sudoRefusal(exitCode: number) {
    return this.#sudo && !this.#sudo.went ? this.#sudo.refusal(exitCode) : undefined
  }

  /** What the wrapper told about itself, waiting a moment for it when it has only just begun. */
  announcement(waitMs: number): Promise<Announcement | undefined> {
    return this.#announcement ? Promise.resolve(this.#announcement) : within(waitMs, this.#announced)
  }

  get hasAnnounced(): boolean {
    return this.#announcement !== undefined
  }

  /** Gives the channel up, whatever the command does. */
  abandon(): void {
    this.#channel.close()
    this.#done()
  }

  #listen(): void {
    const { stderr } = this.#channel
    this.#channel.on('data', (bytes: Buffer) => this.#read('stdout', this.#filter.push(bytes)))
    // Unread, 8 MB of it would stop the command for ever.
    stderr.on('data', (bytes: Buffer) => this.#read('stderr', this.#sudo?.push(bytes) ?? bytes))
    this.#channel.on('exit', (code: number | null, signal?: string) => {
      this.#exit = code === null ? { kind: 'signalled', signal: nameOf(signal) } : { kind: 'exited', exitCode: code }
      this.#armLinger()
    })
    for (const stream of [this.#channel, stderr]) {
      stream.on('error', () => undefined)
      stream.on('end', () => this.#partEnded())
    }
    this.#channel.on('close', () => {
      this.#partEnded()
      this.#armLinger()
    })
  }

  /** The channel may close while what it carried still waits to be read: both streams must have ended too. */
  #partEnded(): void {
    this.#openParts -= 1
    if (this.#openParts === 0) this.#done()
  }

  #read(stream: Stream, bytes: Buffer): void {
    if (this.#isDone) return
    this.#output.push(stream, bytes)
    if (this.#exit) this.#armLinger()
    if (this.#output.isBacklogged()) this.#pause()
  }

  #armLinger(): void {
    clearTimeout(this.#linger)
    this.#linger = setTimeout(() => (this.#paused ? this.#armLinger() : this.abandon()), LINGER_MS)
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#channel.pause()
    this.#channel.stderr.pause()
    const ask = () => {
      if (this.#output.isBacklogged()) return this.#output.onRelief(ask)
      this.#paused = false
      this.#channel.resume()
      this.#channel.stderr.resume()
    }
    this.#output.onRelief(ask)
  }

  #done(): void {
    if (this.#isDone) return
    this.#isDone = true
    clearTimeout(this.#linger)
    this.#output.push('stdout', this.#filter.end())
    if (this.#sudo) this.#output.push('stderr', this.#sudo.end())
    this.#finish(this.#exit ?? { kind: 'lost' })
  }
}

const nameOf = (signal: string | undefined): string => `SIG${(signal ?? 'UNKNOWN').replace(/^SIG/, '')}`.slice(0, 20)
