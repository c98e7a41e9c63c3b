import type { Catalogue } from '../../command-api/dispatch/catalogue.ts'
import { askedRun, type CheckRun } from '../../command-api/dispatch/run-facts.ts'
import { logsIn, type RunFacts } from '../../command-api/domain/index.ts'
import { ProblemError } from '../../schemas/problems.ts'
import type { Need } from '../rights.ts'

type Lacks = (need: Need) => Promise<string | undefined>
type Names = Pick<Catalogue, 'target'>

/** So many of what is missing are named. */
const NAMED = 5

/**
 * What a run takes that a step of another one triggers, of whoever asked for that one, as they may now. Runs further
 * below are asked about when it comes to them. The check throws ProblemError forbidden.
 */
export const mayRunBelow =
  (catalogue: Names, lacks: Lacks): CheckRun =>
  async (facts, asked) => {
    const { job, targets } = facts
    const must = async (need: Need) => {
      const why = await lacks(need)
      if (why !== undefined) throw new ProblemError('forbidden', why)
    }
    if (job.status !== 'absent') await must({ permission: 'run:trigger', resource: { kind: 'job', id: job.jobId } })
    await checkTargets(catalogue, lacks, targets)
    const run = askedRun(facts, asked)
    // It will be refused for another reason.
    if (!run) return
    const { version, parameters } = run
    const login = logsIn(version) ? targets.map(({ credentialId }) => version.credentialId ?? credentialId) : []
    const named = Object.entries(version.parameters ?? {}).map(([name, { type }]) =>
      type === 'secret' ? parameters[name] : undefined,
    )
    for (const id of new Set([...login, ...named]))
      if (typeof id === 'string') await must({ permission: 'credential:use', resource: { kind: 'credential', id } })
  }

/** Named are those that may at least be seen: whoever reads the event may be the one who asked. */
async function checkTargets(catalogue: Names, lacks: Lacks, targets: RunFacts['targets']): Promise<void> {
  const seen: string[] = []
  let missing = 0
  for (const { targetId: id } of targets) {
    const target = catalogue.target(id)
    const resource = { kind: 'target', id, tags: target?.tags }
    if ((await lacks({ permission: 'target:use', resource })) === undefined) continue
    missing += 1
    if ((await lacks({ permission: 'target:read', resource })) === undefined) seen.push(target?.name ?? id)
  }
  if (missing === 0) return
  const named = seen.length === 0 ? '' : `: not on ${seen.slice(0, NAMED).join(', ')}`
  throw new ProblemError('forbidden', `needs target:use on every target of the selection${named}`)
}
