import { overlap } from './overlap.ts'

/** What the wrapper on the target tells about itself in its first line. */
export type Announcement = {
  /** Leader of the process group that `kill -- -<pgid>` reaches; 0 when the command got no group of its own. */
  pgid: number
  pid: number
  /** When the leader, or without a group the process, was started, in whatever way the target tells that. */
  start?: string
  /** The temporary folder of a script, to be removed when the wrapper was killed before it could. */
  folder?: string
}

const EMPTY = Buffer.alloc(0)
const LONGEST_LINE = 512
const LINE =
  /^ pgid=(\d{1,10}) pid=(\d{1,10})(?: start=([\w:]{0,40}))?(?: dir=(\/[A-Za-z0-9._/-]{1,200}\/opsc\.[A-Za-z0-9]{4,20}))?\r?$/

/**
 * Finds the wrapper's line `<token> pgid=… pid=… [start=…] [dir=…]` in stdout and cuts it out. What a login shell prints before
 * it is output like any other; everything after the line passes untouched.
 */
export class MarkerFilter {
  readonly #token: Buffer
  readonly #found: (announcement: Announcement) => void
  #held: Buffer = EMPTY
  #done = false

  constructor(token: string, found: (announcement: Announcement) => void) {
    this.#token = Buffer.from(token)
    this.#found = found
  }

  push(bytes: Buffer): Buffer {
    if (this.#done) return bytes
    const all = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes
    const at = all.indexOf(this.#token)
    if (at < 0) return this.#hold(all, all.length - overlap(all, this.#token))
    const end = all.indexOf('\n', at)
    if (end < 0 && all.length - at < LONGEST_LINE) return this.#hold(all, at)
    this.#done = true
    this.#held = EMPTY
    const announcement = parse(all.toString('latin1', at + this.#token.length, end < 0 ? all.length : end))
    if (announcement === undefined) return all
    this.#found(announcement)
    return Buffer.concat([all.subarray(0, at), all.subarray(end + 1)])
  }

  /** What was held back, when the stream ends without the line. */
  end(): Buffer {
    const rest = this.#held
    this.#held = EMPTY
    return rest
  }

  #hold(all: Buffer, from: number): Buffer {
    this.#held = Buffer.from(all.subarray(from))
    return all.subarray(0, from)
  }
}

function parse(line: string): Announcement | undefined {
  const found = LINE.exec(line)
  if (!found) return undefined
  const [, pgid, pid, start, folder] = found
  return { pgid: Number(pgid), pid: Number(pid), ...(start && { start }), ...(folder !== undefined && { folder }) }
}
