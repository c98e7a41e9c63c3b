import { looksLikeSecret } from '../../infra/event-store/secret-scan.ts'
import { sha256Hex } from '../../infra/ids.ts'
import type { Bound, Shown } from '../../schemas/approval.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { RunEvent } from '../../schemas/run.ts'
import { type Preview, previews, renderedText } from '../domain/workflow/index.ts'
import type { Catalogue } from './catalogue.ts'

type Requested = Extract<RunEvent, { type: 'RunRequested' }>['data']
/** A run, as far as what is agreed to follows from it. */
export type BoundRun = { version: JobVersion; request: Requested; targetIds: readonly string[] }
type Known = Pick<Catalogue, 'select' | 'target' | 'credential' | 'credentialVersion'>

const MOST_CREDENTIALS = 200
const MOST_NAMES = 50
const MOST_STEPS = 50
const MOST_TEXT = 2_000
const MOST_IN_ALL = 24_000

/** What a yes to this run would be said to now. Equal digests: nothing that matters has changed. */
export function boundOf(catalogue: Known, { version, request, targetIds }: BoundRun): Bound {
  const chosen = catalogue.select({ targetIds: [...targetIds] })
  const targets = chosen.map(({ targetId, status, credentialId }) => {
    const { address, port } = catalogue.target(targetId) ?? {}
    return [targetId, status, address, port, credentialId]
  })
  const named = Object.values(request.parameters ?? {}).filter(value => typeof value === 'string')
  const used = [version.credentialId ?? chosen.map(each => each.credentialId), named].flat(2)
  const credentials = [...new Set(used)].toSorted().flatMap(id => {
    const status = id === undefined ? undefined : catalogue.credential(id)?.status
    if (id === undefined || status === undefined) return []
    const revoked = status === 'active' ? {} : { revoked: true as const }
    return [{ credentialId: id, version: catalogue.credentialVersion(id) ?? 0, ...revoked }]
  })
  const parts = {
    jobDigest: sha256Hex(JSON.stringify([version.jobId, version.version, version.digest])),
    parameters: sha256Hex(JSON.stringify(Object.entries(request.parameters ?? {}).toSorted(byName))),
    targets: sha256Hex(JSON.stringify(targets)),
  }
  const digest = sha256Hex(JSON.stringify([parts.jobDigest, parts.parameters, parts.targets, credentials]))
  return { digest, ...parts, credentials: credentials.slice(0, MOST_CREDENTIALS) }
}

const byName = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1)

/** What has changed of what was agreed to, in words; empty where nothing has. */
export function changesOf(before: Bound, now: Bound, catalogue: Known, targetIds: readonly string[]): string[] {
  if (before.digest === now.digest) return []
  const why: string[] = []
  if (before.targets !== now.targets) {
    const gone = catalogue.select({ targetIds: [...targetIds] }).filter(({ status }) => status !== 'active')
    const names = gone.slice(0, 5).map(({ targetId }) => catalogue.target(targetId)?.name ?? targetId)
    if (names.length > 0) why.push(`out of use: ${names.join(', ')}`)
    else why.push('a target has another address, port or credential')
  }
  const versions = new Map(before.credentials.map(each => [each.credentialId, each]))
  for (const { credentialId, version, revoked } of now.credentials) {
    const known = versions.get(credentialId)
    if (known && known.version !== version)
      why.push(`the credential ${credentialId} is at version ${version}, and was at ${known.version}`)
    if (known && !known.revoked && revoked) why.push(`the credential ${credentialId} may not be used any more`)
  }
  if (before.jobDigest !== now.jobDigest || before.parameters !== now.parameters) why.push('it is another run')
  return why.length > 0 ? why.slice(0, 20) : ['other credentials would be used']
}

/** What the approver is shown: every step as it would be done on the first target, as far as that is known. */
export function shownOf(catalogue: Known, { version, request, targetIds }: BoundRun): Shown {
  const { parameters = {}, jobName, jobVersion, jobId, runId, initiator } = request
  const run = { id: runId, jobId, jobName, jobVersion, targets: request.targets, initiator: initiator.id }
  const target = targetIds.map(id => catalogue.target(id)).find(each => each !== undefined)
  const all = target ? previews({ version, parameters, run, target }) : []
  const steps: Shown['steps'] = []
  let length = 0
  for (const preview of all) {
    if (preview.kind === 'gate') continue
    const text = masked(textOf(preview)).slice(0, MOST_TEXT)
    length += text.length
    if (steps.length === MOST_STEPS || length > MOST_IN_ALL) break
    steps.push({ stepId: preview.unit.id, text })
  }
  const others = all.filter(({ kind }) => kind !== 'gate').length
  const targetNames = targetIds.slice(0, MOST_NAMES).map(id => catalogue.target(id)?.name ?? id)
  const named = { jobName, jobVersion, parameters, targets: request.targets, targetNames }
  return { ...named, steps, moreSteps: others - steps.length }
}

function textOf(preview: Exclude<Preview, { kind: 'gate' }>): string {
  switch (preview.kind) {
    case 'rendered':
      return renderedText(preview.step)
    case 'skipped':
      return `not done: ${preview.why}`
    case 'unknown':
      return `known later: depends on ${preview.waitsFor.join(', ')}`
    case 'impossible':
      return `fails: ${preview.detail}`
  }
}

/** Secrets are in the vault and not in commands; what somebody put there all the same is not repeated. */
const masked = (text: string): string =>
  looksLikeSecret(text) === undefined ? text : '[not shown: it looks like a secret]'
