import type { JobEvent, JobRow } from '../../schemas/job.ts'
import { required } from './required.ts'

/** A job with its newest version. Not yet usable while `latestVersion` is 0. */
export function evolveJob(before: JobRow | undefined, event: JobEvent): JobRow {
  if (event.type === 'JobDefined') {
    const { jobId, name, description } = event.data
    const empty = { steps: [], selection: null, credentialId: null, maxParallel: null, digest: '' }
    return { jobId, name, description: description ?? null, status: 'enabled', latestVersion: 0, ...empty }
  }
  const job = required(before)
  switch (event.type) {
    case 'JobVersionPublished': {
      const { version, steps, selection, credentialId, maxParallel, digest } = event.data
      return {
        ...job,
        latestVersion: version,
        steps,
        selection: selection ?? null,
        credentialId: credentialId ?? null,
        maxParallel: maxParallel ?? null,
        digest,
      }
    }
    case 'JobEnabled':
      return { ...job, status: 'enabled' }
    case 'JobDisabled':
      return { ...job, status: 'disabled' }
    case 'JobArchived':
      return { ...job, status: 'archived' }
  }
}
