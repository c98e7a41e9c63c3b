import type { ArtifactEvent } from '../../schemas/artifact.ts'
import type { CommandRecordEvent } from '../../schemas/command-record.ts'
import type { ReleaseEvent } from '../../schemas/credential.ts'
import { categoryOf, type Recorded } from '../../schemas/events.ts'
import type { KekEvent } from '../../schemas/kek.ts'
import type { RefusalEvent } from '../../schemas/refusal.ts'
import type { RunEvent } from '../../schemas/run.ts'
import type { SignInEvent } from '../../schemas/session.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'
import type { State } from '../diff.ts'
import { evolveResource, resourceId, resourceKind } from '../resources/evolve.ts'
import { evolveLife, type RunLife, unborn } from '../runs/life.ts'
import { targetRunStatusAfter } from '../runs/status.ts'
import type { AuditSubject } from './tables.ts'

export type SubjectKey = { type: string; id: string }

/** What an event is about, how that changes, and which other subject lends it a name. */
export type Subject = SubjectKey & {
  runId: string | null
  namedBy?: SubjectKey
  /** Undefined for what has no state of its own: requests, files, key-encryption keys, and the release of a credential. */
  evolve?: (before: AuditSubject | undefined) => { name: string | null; state: State }
}

/** The category of a stream says which events are in it, hence the narrowing by hand. */
export function subjectOf(event: Recorded): Subject {
  const kind = resourceKind(event)
  if (kind) {
    const id = resourceId(kind, event.stream)
    const evolve = (before: AuditSubject | undefined) => {
      const state = evolveResource(kind, before?.state, event)
      return { name: typeof state.name === 'string' ? state.name : null, state }
    }
    return { type: kind, id, runId: null, evolve }
  }
  switch (categoryOf(event.stream)) {
    case 'run':
      return runSubject(event as RunEvent)
    case 'targetrun':
      return targetRunSubject(event as TargetRunEvent)
    case 'release': {
      const { credentialId, runId } = (event as ReleaseEvent).data
      const key = { type: 'credential', id: credentialId }
      return { ...key, runId, namedBy: key }
    }
    case 'command':
      return commandSubject(event as CommandRecordEvent)
    case 'refusal':
      return { type: 'request', id: (event as RefusalEvent).data.refusalId, runId: null }
    case 'artifact':
      return { type: 'artifact', id: (event as ArtifactEvent).data.sha256, runId: null }
    case 'signin':
      return signInSubject(event as SignInEvent)
    case 'kek':
      return { type: 'kek', id: (event as KekEvent).data.kekId, runId: null }
  }
  throw new Error(`${event.stream} is a stream of no known category`)
}

function runSubject(event: RunEvent): Subject {
  const { runId } = event.data
  return {
    type: 'run',
    id: runId,
    runId,
    evolve: before => ({
      name: event.type === 'RunRequested' ? event.data.jobName : (before?.name ?? null),
      state: said(evolveLife({ ...unborn, ...before?.state }, event)),
    }),
  }
}

/** Only what is so, in order that a change reads as one. */
const said = (life: RunLife): State =>
  Object.fromEntries(Object.entries(life).filter(([, value]) => value !== false && value !== null && value !== 0))

function targetRunSubject(event: TargetRunEvent): Subject {
  const { runId, n } = event.data
  const claimed = event.type === 'TargetRunClaimed' ? event.data.target.name : undefined
  return {
    type: 'target-run',
    id: `${runId}.${n}`,
    runId,
    // One that was cancelled before any claim is known by its target only.
    ...('targetId' in event.data && { namedBy: { type: 'target', id: event.data.targetId } }),
    evolve: before => ({
      name: claimed ?? before?.name ?? null,
      state: { status: targetRunStatusAfter(event) ?? before?.state.status ?? 'queued' },
    }),
  }
}

/** An attempt is about whoever was meant, where that is somebody. */
function signInSubject({ data }: SignInEvent): Subject {
  const userId = 'userId' in data ? data.userId : undefined
  if (userId === undefined) return { type: 'signin', id: data.attemptId, runId: null }
  return { type: 'user', id: userId, runId: null, namedBy: { type: 'user', id: userId } }
}

function commandSubject(event: CommandRecordEvent): Subject {
  const stream = 'stream' in event.data ? event.data.stream : undefined
  if (stream === undefined) return { type: 'command', id: event.data.commandId, runId: null }
  const type = categoryOf(stream)
  const key = { type, id: stream.slice(type.length + 1) }
  return { ...key, runId: type === 'run' ? key.id : null, namedBy: key }
}
