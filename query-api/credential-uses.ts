import { z } from 'zod'
import type { Holder, HttpServer } from '../infra/http/index.ts'
import { id, instant, name } from '../schemas/kernel.ts'
import { n } from '../schemas/target-run.ts'
import { ofRuns, ofVersions, onlyPermitted } from './access/permitted.ts'
import { Conditions } from './paging.ts'
import type { Query, Reader } from './reader.ts'
import { versionAt } from './resources.ts'
import { found, registerRead } from './route.ts'

const MOST = 100
const uses = z.object({
  targets: z.array(z.object({ targetId: id, name })).describe('Log in with it'),
  jobs: z.array(z.object({ jobId: id, name })).describe('Name it in their newest version, in whatever place'),
  releases: z
    .array(
      z.object({ runId: id, n, executorId: z.string(), version: z.int(), stepId: z.string().nullable(), at: instant }),
    )
    .describe('Newest first'),
  more: z.object({ targets: z.boolean(), jobs: z.boolean(), releases: z.boolean() }).describe(`Beyond ${MOST} of each`),
})

/** Where a credential is used, as far as whoever asks may see that: what has to be looked at before it is rotated. */
export function registerCredentialUses(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/credentials/:id/uses',
    operationId: 'get-credential-uses',
    tag: 'credentials',
    summary: 'Targets and jobs that name a credential, and the runs it was released to',
    permission: 'credential:read',
    projection: 'state',
    params: z.strictObject({ id }),
    query: z.strictObject({}),
    answer: { description: 'Where it is used', schema: uses },
    problems: ['credential-not-found'],
    async handle({ params, db, holder }) {
      found(await versionAt(db, holder, { kind: 'credential' }, params.id, undefined), 'credential-not-found')
      const [targets, jobs, releases] = await Promise.all([
        targetsOf(db, holder, params.id),
        jobsOf(db, holder, params.id),
        releasesOf(db, holder, params.id),
      ])
      const over = (rows: readonly unknown[]) => rows.length > MOST
      return {
        body: {
          ...{ targets: targets.slice(0, MOST), jobs: jobs.slice(0, MOST), releases: releases.slice(0, MOST) },
          more: { targets: over(targets), jobs: over(jobs), releases: over(releases) },
        },
      }
    },
  })
}

function targetsOf(db: Query, holder: Holder, credentialId: string) {
  const conditions = new Conditions()
  conditions.add(`kind = 'target' and valid_to is null and status = 'active'`)
  conditions.add(`state->>'credentialId' = ?`, credentialId)
  onlyPermitted(conditions, holder, 'target:read', ofVersions('target'))
  return db(
    `select id as "targetId", name from read_model.resource_version where ${conditions.text}
     order by name, id limit ${MOST + 1}`,
    conditions.values,
  )
}

/** Looked for as text: it may be named to log in with, or be the value of a parameter. */
function jobsOf(db: Query, holder: Holder, credentialId: string) {
  const conditions = new Conditions()
  conditions.add(`r.kind = 'job' and r.valid_to is null and r.status <> 'archived'`)
  conditions.add('strpos(v.definition::text, ?) > 0', credentialId)
  onlyPermitted(conditions, holder, 'job:read', { ...ofVersions('job'), id: 'r.id' })
  return db(
    `select r.id as "jobId", r.name from read_model.resource_version r
     join read_model.job_version v on v.job_id::text = r.id and v.version = (r.state->>'latestVersion')::int
     where ${conditions.text} order by r.name, r.id limit ${MOST + 1}`,
    conditions.values,
  )
}

function releasesOf(db: Query, holder: Holder, credentialId: string) {
  const conditions = new Conditions()
  conditions.add(`resource_type = 'credential' and type = 'CredentialReleased'`)
  conditions.add('resource_id = ?', credentialId)
  const runs = conditions.within()
  onlyPermitted(runs, holder, 'run:read', ofRuns)
  if (!runs.isEmpty) conditions.add(`run_id in (select run_id from read_model.run where ${runs.text})`)
  return db(
    `select run_id as "runId", (data->>'n')::int as n, data->>'executorId' as "executorId",
       (data->>'version')::int as version, data->>'stepId' as "stepId", at
     from read_model.audit where ${conditions.text} order by commit desc limit ${MOST + 1}`,
    conditions.values,
  )
}
