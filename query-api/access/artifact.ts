import { type Holder, ProblemError } from '../../infra/http/index.ts'
import { Conditions } from '../paging.ts'
import type { Reader } from '../reader.ts'
import { ofRuns, permittedRows } from './permitted.ts'

/** Any step may have an output of this name; only one of a kind that fetches has the file. */
const FETCHES = '$.** ? (@.id == $id && (@.uses == "file.get" || @.undo.uses == "file.get"))'

/**
 * A file belongs to the runs that fetched it, and to whoever uploaded it.
 * @throws ProblemError artifact-not-found, as for one that is not stored.
 */
export async function mustSeeArtifact(reader: Reader, holder: Holder, sha256: string): Promise<void> {
  const conditions = new Conditions()
  conditions.add(`outputs->>'sha256' = ?`, sha256)
  const runs = permittedRows(conditions, holder.scopes('artifact:read'), {
    ...ofRuns,
    id: 'r.run_id',
    jobId: 'r.job_id',
  })
  if (runs === undefined) return
  conditions.add(runs)
  const { kind, id } = holder.actor
  const uploaded = [sha256, kind, id].map(value => conditions.parameter(value))
  const seen = await reader.query(
    `select 1 from read_model.step_run s join read_model.run r using (run_id)
       join read_model.job_version v on v.job_id = r.job_id and v.version = r.job_version
       where ${conditions.text} and jsonb_path_exists(
         v.definition::jsonb, '${FETCHES}', jsonb_build_object('id', split_part(s.step_id, '.', 1)))
     union all select 1 from read_model.audit where resource_type = 'artifact' and type = 'ArtifactStored'
       and resource_id = ${uploaded[0]} and actor_kind = ${uploaded[1]} and actor_id = ${uploaded[2]}
     limit 1`,
    conditions.values,
  )
  if (seen.length === 0) throw new ProblemError('artifact-not-found')
}
