import { type Definition, type DefinitionRow, definitionFields, type JobEvent, type JobRow } from '../../schemas/job.ts'
import { required } from './required.ts'

type Published = Extract<JobEvent, { type: 'JobVersionPublished' }>['data']

/** Every field of a definition; null where it says nothing. */
export function definitionRow(definition: Definition): DefinitionRow {
  const fields = definitionFields.map(field => [field, definition[field] ?? null])
  // Of every field there is a value or null; `steps`, the one that cannot be null, is always given.
  return Object.fromEntries(fields) as DefinitionRow
}

const nothing = { latestVersion: 0, ...definitionRow({ steps: [] }), digest: '' }
const published = (data: Published) => ({ latestVersion: data.version, ...definitionRow(data), digest: data.digest })

/** A job with its newest version. Not yet usable while `latestVersion` is 0. */
export function evolveJob(before: JobRow | undefined, event: JobEvent): JobRow {
  if (event.type === 'JobDefined') {
    const { jobId, name, description } = event.data
    return { jobId, name, description: description ?? null, status: 'enabled', ...nothing }
  }
  const job = required(before)
  switch (event.type) {
    case 'JobVersionPublished':
      return { ...job, ...published(event.data) }
    case 'JobEnabled':
      return { ...job, status: 'enabled' }
    case 'JobDisabled':
      return { ...job, status: 'disabled' }
    case 'JobArchived':
      return { ...job, status: 'archived' }
  }
}
