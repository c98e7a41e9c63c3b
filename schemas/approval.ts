import { z } from 'zod'
import { principal, roleName } from './access.ts'
import { id, line, sha256 } from './kernel.ts'
import { parameterValues } from './parameters.ts'

/** Who may decide, among those who hold run:approve on the job; any of these is enough. Absent: all of them. */
export const approvers = z
  .strictObject({
    roles: z.array(roleName).min(1).max(20).optional(),
    groups: z.array(id).min(1).max(20).optional(),
  })
  .refine(({ roles, groups }) => roles !== undefined || groups !== undefined, 'name roles or groups')
export type Approvers = z.output<typeof approvers>

/** What has to be agreed to before anything of a run begins, or goes on. */
export const approvalTerms = {
  prompt: line(2_000),
  quorum: z.int().min(1).max(10).default(1),
  expiresSeconds: z.int().min(10).max(2_592_000).default(86_400),
  approvers: approvers.optional(),
}
/** The gate of a whole run goes by this name; a job that has one has no step of that name. */
export const JOB_GATE = 'job-approval'

/** A credential in the version that would be used. */
const boundCredential = z.object({ credentialId: id, version: z.int().min(0), revoked: z.literal(true).optional() })
/** What a yes is said to; `digest` is over all of it. SHA-256 of what can be long. */
export const bound = z.object({
  digest: sha256,
  jobDigest: sha256,
  parameters: sha256,
  targets: sha256.describe('Status, address, port and credential of every target'),
  credentials: z.array(boundCredential).max(200),
})
export type Bound = z.output<typeof bound>

/** As the approver sees it: cut where it gets long, secrets masked. */
export const shown = z.object({
  jobName: z.string(),
  jobVersion: z.int(),
  parameters: parameterValues,
  steps: z.array(z.object({ stepId: z.string(), text: z.string() })).describe('As on the first target'),
  moreSteps: z.int(),
  targets: z.int(),
  targetNames: z.array(z.string()),
})
export type Shown = z.output<typeof shown>

/** To whom somebody hands their say. */
export const delegate = principal.refine(
  ({ kind }) => kind === 'user' || kind === 'service-account',
  'a user or a service account',
)

/** What allowed a run to be triggered. */
export const authorisedBy = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('grant'), grantId: id, role: line(60), via: z.string().optional() }),
  z.object({ kind: z.literal('administrator-key'), keyId: z.string() }),
  z
    .object({ kind: z.literal('run'), runId: id, apiKeyId: id.optional() })
    .describe('A step of this run, which was asked for by the API key, if that is named'),
])
export type AuthorisedBy = z.output<typeof authorisedBy>
