import { createHash } from 'node:crypto'
import { ask } from '../ssh/ask.ts'
import type { SshConnection } from '../ssh/connection.ts'
import type { SftpSession } from './session.ts'
import { download } from './transfer.ts'

const SHA256 = 'sha256sum <"$1" 2>/dev/null||shasum -a 256 <"$1" 2>/dev/null||sha256 -q <"$1" 2>/dev/null'
/** Read at 50 MB/s the largest file that is transferred takes this long. */
const DIGEST_MS = 30_000

export type Remote = { connection: SshConnection; session: SftpSession }

/** SHA-256 of a file on the target, as the target says; where it has no program for that, of what comes back from it. */
export async function remoteDigest(
  { connection, session }: Remote,
  path: string,
  signal: AbortSignal,
): Promise<string> {
  const said = await ask(connection, SHA256, [path], DIGEST_MS)
  const told = /^([0-9a-f]{64})\b/.exec(said?.text ?? '')?.[1]
  if (told !== undefined && said?.exitCode === 0) return told
  const hash = createHash('sha256')
  const handle = await session.open(path, 'r')
  await download(session, handle, 0, async bytes => void hash.update(bytes), signal)
  await session.close(handle)
  return hash.digest('hex')
}
