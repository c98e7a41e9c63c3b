import { randomBytes } from 'node:crypto'
import path from 'node:path'

/** A path that is not used: nothing was done with it. */
export class PathRefused extends Error {
  override name = 'PathRefused'
}

const LONGEST_NAME = 255

/**
 * The path of a file as it is used: absolute, without doubled slashes. Refused: `..`, which does not lead where it seems
 * to once a link is on the way, control characters, and what can only be a folder.
 */
export function checkedPath(text: string): string {
  if (!text.startsWith('/')) throw new PathRefused('the path is not absolute')
  if (/\p{Cc}/u.test(text)) throw new PathRefused('the path holds a control character')
  if (text.split('/').includes('..')) throw new PathRefused('the path holds ..')
  if (text.endsWith('/') || path.posix.basename(text) === '.') throw new PathRefused('the path names a folder')
  return path.posix.normalize(text)
}

/** A name nobody else has, in the same folder: what is there can become the file by a rename. */
export function besideOf(file: string): string {
  const end = `.opsc-${randomBytes(8).toString('hex')}`
  // A name that is nearly as long as names may be is cut, so that its neighbour is none too long.
  const name = Buffer.from(path.posix.basename(file)).subarray(0, LONGEST_NAME - end.length - 1)
  return path.posix.join(path.posix.dirname(file), `.${name.toString('latin1').replace(/[^\x20-\x7e]/g, '_')}${end}`)
}
