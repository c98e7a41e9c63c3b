import { streams } from '../../schemas/events.ts'
import { definitionIn, type JobCommand, type JobEvent, type JobVersion } from '../../schemas/job.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'
import { refuseInvalidWorkflow } from './workflow/index.ts'
import { type Complaint, summary } from './workflow/parameters.ts'

export type Job =
  | { status: 'absent' }
  | {
      status: 'enabled' | 'disabled' | 'archived'
      jobId: string
      name: string
      description: string | undefined
      /** Version 1 first. */
      versions: readonly JobVersion[]
    }
type Known = Exclude<Job, { status: 'absent' }>

export type JobFacts = {
  /** SHA-256 of the canonical JSON of the definition in the command. */
  digest?: string | undefined
  /** Its commands that the safety checks refuse wherever they are run. */
  denied?: readonly Complaint[] | undefined
}
export type IdentifiedJobCommand = Identified<JobCommand, 'jobId'>
type DataOf<T extends IdentifiedJobCommand['type']> = Extract<IdentifiedJobCommand, { type: T }>['data']

export const job: Decider<Job, IdentifiedJobCommand, JobEvent, JobFacts> = {
  category: 'job',
  streamOf: data => streams.job(data.jobId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, _meta, facts) {
    const { digest = '' } = facts
    if (command.type === 'define-job') return define(command.data, state, facts)
    if (state.status === 'absent') throw new DomainError('job-not-found', `no job ${command.data.jobId}`)
    if (command.type === 'archive-job')
      return state.status === 'archived' ? [] : [{ type: 'JobArchived', data: command.data }]
    if (state.status === 'archived') throw new DomainError('job-archived', `the job ${state.name} is archived`)
    switch (command.type) {
      case 'publish-job-version':
        return latest(state)?.digest === digest ? [] : [publish(command.data, state.versions.length + 1, facts)]
      case 'enable-job':
        return state.status === 'enabled' ? [] : [{ type: 'JobEnabled', data: command.data }]
      case 'disable-job':
        return state.status === 'disabled' ? [] : [{ type: 'JobDisabled', data: command.data }]
    }
  },
}

/** The newest version. */
export const latest = (state: Known): JobVersion | undefined => state.versions.at(-1)

function define(data: DataOf<'define-job'>, state: Job, facts: JobFacts): JobEvent[] {
  const { jobId, name, description } = data
  if (state.status === 'absent')
    return [{ type: 'JobDefined', data: { jobId, name, description } }, publish(data, 1, facts)]
  const same = state.status === 'enabled' && name === state.name && description === state.description
  if (same && latest(state)?.digest === facts.digest) return []
  throw new DomainError('job-already-exists', `there is already a job ${jobId}`)
}

function publish(
  data: DataOf<'define-job'> | DataOf<'publish-job-version'>,
  version: number,
  { digest = '', denied = [] }: JobFacts,
): JobEvent {
  const { jobId } = data
  const definition = definitionIn(data)
  refuseInvalidWorkflow(definition, jobId)
  if (denied.length > 0) throw new DomainError('command-denied', summary(denied), denied.slice(0, 100))
  const reason = 'reason' in data ? data.reason : undefined
  return { type: 'JobVersionPublished', data: { jobId, version, ...definition, digest, reason } }
}

function evolve(state: Job, event: JobEvent): Job {
  if (event.type === 'JobDefined') {
    const { jobId, name, description } = event.data
    return { status: 'enabled', jobId, name, description, versions: [] }
  }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'JobVersionPublished': {
      const { reason: _, ...version } = event.data
      return { ...state, versions: [...state.versions, version] }
    }
    case 'JobEnabled':
      return { ...state, status: 'enabled' }
    case 'JobDisabled':
      return { ...state, status: 'disabled' }
    case 'JobArchived':
      return { ...state, status: 'archived' }
  }
}
