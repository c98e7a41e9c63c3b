import type { Action } from '../../schemas/steps/index.ts'
import type { ArtifactWriter } from '../artifacts.ts'
import { type Remote, remoteDigest } from '../files/digest.ts'
import { overSftp, transferEnd, untilStopped } from '../files/over-sftp.ts'
import { checkedPath } from '../files/path.ts'
import { download } from '../files/transfer.ts'
import { TransferFailed } from '../files/write.ts'
import type { Runner, StepEnd, StepTools } from './runner.ts'

type FileGet = Extract<Action, { uses: 'file.get' }>

const KIND = 0o170000
const REGULAR = 0o100000

/** Fetches a file into the artifact store. */
export const fileGet: Runner<FileGet> = {
  connects: true,
  run: (action, tools) => untilStopped(get(action, tools), tools.signal),
}

async function get({ with: { path: wanted, maxBytes } }: FileGet, tools: StepTools): Promise<StepEnd> {
  try {
    const path = checkedPath(wanted)
    const writer = tools.artifacts.writer()
    const there = await overSftp(tools, async remote => {
      await fetch(remote, { path, maxBytes, writer }, tools)
      return await remoteDigest(remote, path, tools.signal)
    })
    const sha256 = writer.digest()
    if (there !== sha256) throw new TransferFailed('what arrived is not what is there: the file may have changed')
    await writer.finish(sha256, tools.signal)
    return { kind: 'succeeded', exitCode: 0, outputs: { sha256, bytes: writer.bytes } }
  } catch (error) {
    return transferEnd(error, tools.signal)
  }
}

/** From where the writer is: after a loss that is not the beginning. */
async function fetch(
  { session }: Remote,
  { path, maxBytes, writer }: { path: string; maxBytes: number; writer: ArtifactWriter },
  { signal, alive }: StepTools,
): Promise<void> {
  const handle = await session.open(path, 'r')
  const { mode, size } = await session.stat(handle)
  if ((mode & KIND) !== REGULAR) throw new TransferFailed('only regular files are fetched')
  const tooLong = () => new TransferFailed(`the file is longer than ${maxBytes} bytes`)
  if (size > maxBytes) throw tooLong()
  const take = async (bytes: Buffer) => {
    if (writer.bytes + bytes.length > maxBytes) throw tooLong()
    await writer.write(bytes, signal)
    alive()
  }
  await download(session, handle, writer.bytes, take, signal)
  await session.close(handle)
}
