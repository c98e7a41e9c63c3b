import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Looks for the secret as text, and inside base64 (at each of its three alignments), base64url and hex. */
export function finds(content: string, secret: string): boolean {
  const bytes = Buffer.from(secret, 'utf8')
  const aligned = [0, 1, 2].map(skip => bytes.subarray(skip, skip + 3 * Math.floor((bytes.length - skip) / 3)))
  const forms = [
    bytes.toString('latin1'),
    secret,
    secret.slice(0, 31),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    bytes.toString('utf16le'),
    ...aligned.flatMap(part => [part.toString('base64'), part.toString('base64url')]),
  ]
  return forms.some(form => content.includes(form))
}

/** Everything in the files of a folder, byte by byte. Sockets and files that went meanwhile hold nothing. */
export function contentOf(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => contentOfFile(join(entry.parentPath, entry.name)))
    .join('\n')
}

function contentOfFile(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
