import type { Action } from '../../schemas/steps/index.ts'
import { inlineSource, type Source } from '../artifacts.ts'
import type { Remote } from '../files/digest.ts'
import { overSftp, transferEnd, untilStopped } from '../files/over-sftp.ts'
import { checkedPath } from '../files/path.ts'
import { FileWrite } from '../files/write.ts'
import { SshLost } from '../ssh/failure.ts'
import { within } from '../wait.ts'
import type { Runner, StepEnd, StepTools } from './runner.ts'

type FilePut = Extract<Action, { uses: 'file.put' }>

const CLEAN_UP_MS = 3_000

/** Writes a file whole; one that is already as it should be is left alone. */
export const filePut: Runner<FilePut> = {
  connects: true,
  run: (action, tools) => untilStopped(put(action, tools), tools.signal),
}

async function put({ with: wanted }: FilePut, tools: StepTools): Promise<StepEnd> {
  let write: FileWrite | undefined
  try {
    const path = checkedPath(wanted.path)
    const source = await sourceOf(wanted, tools)
    const started = new FileWrite({ path, source, mode: Number.parseInt(wanted.mode, 8), owner: wanted.owner })
    write = started
    const changed = await overSftp(tools, remote => writeOver(started, remote, tools))
    return { kind: 'succeeded', exitCode: 0, outputs: { changed, sha256: source.sha256, bytes: source.bytes } }
  } catch (error) {
    if (error instanceof SshLost && write?.mayHaveHappened) {
      return { kind: 'lost', detail: 'the connection was lost while the file was put in its place' }
    }
    const end = transferEnd(error, tools.signal)
    return write?.leftover === undefined ? end : withLeftover(end, write.leftover)
  }
}

function withLeftover(end: StepEnd, leftover: string): StepEnd {
  const more = `; ${leftover} may be left`
  if (end.kind === 'stopped')
    return { ...end, termination: 'unconfirmed', detail: `${end.detail}${more}`.slice(0, 500) }
  return end.kind === 'failed' ? { ...end, detail: `${end.detail}${more}`.slice(0, 500) } : end
}

async function writeOver(write: FileWrite, remote: Remote, { signal, alive }: StepTools): Promise<boolean> {
  try {
    return await write.run(remote, { signal, alive })
  } catch (error) {
    // After a loss it is needed for going on.
    if (!(error instanceof SshLost)) await within(CLEAN_UP_MS, write.cleanUp(remote)).catch(() => undefined)
    throw error
  }
}

function sourceOf({ content, artifact }: FilePut['with'], { artifacts, signal }: StepTools): Source | Promise<Source> {
  return artifact === undefined ? inlineSource(content ?? '') : artifacts.open(artifact, signal)
}
