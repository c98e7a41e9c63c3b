import type { Complaint } from './parameters.ts'

export type Definition = Record<string, unknown>
/** thin */
export function validateWorkflow(_definition: Definition, _jobId?: string): Complaint[] {
  return []
}
