import { get as httpGet } from 'node:http'
import t from 'tap'
import { holderOf } from '../../infra/access.ts'
import { createArtifactStore } from '../../infra/artifacts.ts'
import { publishJson } from '../../infra/bus.ts'
import { systemClock } from '../../infra/clock.ts'
import { describedRoutes } from '../../infra/http/index.ts'
import { derivedId, sha256Hex } from '../../infra/ids.ts'
import type { PrincipalRef, Scope } from '../../schemas/access.ts'
import { subjects } from '../../schemas/bus.ts'
import { streams } from '../../schemas/events.ts'
import { ids } from '../../test/support/made-up-log.ts'
import { freshDatabase } from '../../test/support/postgres.ts'
import { until } from '../../test/support/process.ts'
import { serveQueries } from '../../test/support/query-api.ts'
import { freshReadModel } from '../../test/support/read-model.ts'
import { variedHistory } from '../../test/support/varied-log.ts'
import { Conditions } from '../paging.ts'
import { ofVersions, permittedRows } from './permitted.ts'

const model = await freshReadModel(t)
/** What is presented is the id of a user, or that of an API key. */
const served = await serveQueries(t, model.url, (id, { state }) => {
  if (!/^[0-9a-f-]{36}$/.test(id)) return undefined
  const owner = state.principals.get(`api-key:${id}`)?.owner
  const kind = owner ? 'api-key' : 'user'
  const actor = { kind, id, ...(owner && { onBehalfOf: `${owner.kind}:${owner.id}` }) } as const
  return holderOf({ state: () => state, who: { kind, id }, actor, clock: systemClock })
})
const { http, bus, pool, access, url: base } = served
const history = variedHistory(400)
let told = 0
/** Projects what is new, and waits until the query side has taken it in. */
async function project(): Promise<void> {
  const events = history.events.slice(told)
  told = history.events.length
  await model.project(events)
  publishJson(bus, subjects.projected, { commit: String(told - 1), prepare: String(told - 1) })
  const of = events.filter(({ stream }) => /^(grant|group|role|user|apikey)-/.test(stream))
  await until('the grants are known', () =>
    of.every(({ stream, revision }) => (access.state.revisions.get(stream) ?? -1n) >= revision),
  )
}
const user = (name: string) => derivedId('user', name)
let grants = 0
async function grant(who: string | PrincipalRef, role: string, scope: Scope, expiresAt?: string): Promise<string> {
  const grantId = derivedId('grant', grants++)
  const principal = typeof who === 'string' ? ({ kind: 'user', id: user(who) } as const) : who
  const data = { grantId, principal, role, scope, reason: 'spec', ...(expiresAt !== undefined && { expiresAt }) }
  history.add(streams.grant(grantId), { type: 'RoleGranted', data })
  await project()
  return grantId
}
const ask = (who: string, url: string) =>
  http.inject({ url, headers: { authorization: `Bearer ${who === 'reader' ? who : user(who)}` } })
type Item = Record<string, string> & { tags?: Record<string, string>; resource?: { type: string; id: string } }
async function all(who: string, url: string): Promise<Item[]> {
  const items: Item[] = []
  for (let cursor = ''; ; ) {
    const answer = await ask(who, `${url}${url.includes('?') ? '&' : '?'}limit=7${cursor}`)
    if (answer.statusCode !== 200) throw new Error(`${url} ${answer.body}`)
    const page: { items: Item[]; next: string | null } = answer.json()
    items.push(...page.items)
    if (page.next === null) return items
    cursor = `&cursor=${page.next}`
  }
}
const everything: Scope = { kind: 'everything' }
const on = (kind: 'job' | 'run' | 'target' | 'executor' | 'credential', id: string): Scope => ({
  kind: 'resource',
  resource: { kind, id },
})
const prod: Scope = { kind: 'labels', labels: 'env=prod' }
await project()

t.test('a list holds what showing each alone shows, no more and no less', async t => {
  const kinds = [
    ['targets', 'targetId'],
    ['credentials', 'credentialId'],
    ['jobs', 'jobId'],
    ['runs', 'runId'],
  ] as const
  await grant('mixed', 'auditor', prod)
  await grant('mixed', 'viewer', on('target', ids.target(0)))
  await grant('mixed', 'viewer', on('job', ids.job(1)))
  await grant('mixed', 'viewer', on('run', ids.run(0)))
  await grant('mixed', 'operator', on('credential', ids.credential(2)))
  await grant('mixed', 'viewer', { kind: 'labels', labels: 'round in (3,5),!never,env!=prod' })
  for (const [plural, idField] of kinds) {
    const everybody = await all('reader', `/v1/${plural}`)
    const shown = (await all('mixed', `/v1/${plural}`)).map(item => item[idField])
    t.ok(shown.length > 0 && shown.length < everybody.length, `${plural}: ${shown.length} of ${everybody.length}`)
    for (const item of everybody) {
      const answer = await ask('mixed', `/v1/${plural}/${item[idField]}`)
      t.equal(answer.statusCode === 200, shown.includes(item[idField]), `${plural} ${item[idField]}`)
    }
  }
  t.equal((await ask('mixed', '/v1/executors?asOf=@300')).statusCode, 403)
})

t.test('where a credential is used, and how many a grant is about, is told as far as one may see it', async t => {
  const credentialId = ids.credential(0)
  await grant('rotator', 'credential-admin', on('credential', credentialId))
  const before = (await ask('rotator', `/v1/credentials/${credentialId}/uses`)).json()
  t.same(before, { targets: [], jobs: [], releases: [], more: { targets: false, jobs: false, releases: false } })
  await grant('rotator', 'viewer', prod)
  await grant('rotator', 'viewer', on('job', ids.job(1)))
  const full = (await ask('reader', `/v1/credentials/${credentialId}/uses`)).json()
  const uses = (await ask('rotator', `/v1/credentials/${credentialId}/uses`)).json()
  for (const [plural, idField] of [
    ['targets', 'targetId'],
    ['jobs', 'jobId'],
    ['runs', 'runId'],
  ] as const) {
    const seen = new Set((await all('rotator', `/v1/${plural}`)).map(item => item[idField]))
    const at = plural === 'runs' ? 'releases' : plural
    t.same(
      uses[at],
      full[at].filter((item: Item) => seen.has(item[idField])),
      plural,
    )
  }
  t.ok(uses.targets.length > 0 && uses.targets.length < full.targets.length, `${uses.targets.length}`)
  await grant('rotator', 'user-admin', everything)
  const asked = `principal=user:${user('rotator')}&role=viewer&scope=everything`
  const counted = async (who: string) => (await ask(who, `/v1/access/simulate?${asked}`)).json().targets
  t.equal(await counted('rotator'), (await all('rotator', '/v1/targets')).length)
  t.equal(await counted('reader'), (await all('reader', '/v1/targets')).length)
})

let keys = 0
/** Presented by its name. */
async function issueKey(name: string, owner: string, narrowed: { scopes?: Scope[]; permissions?: string[] }) {
  const keyId = user(name)
  const data = { keyId, name, owner: { kind: 'user', id: user(owner) }, expiresAt: '2099-01-01T00:00:00.000Z' } as const
  const secretHash = derivedId('hash', keys++).replaceAll('-', '').repeat(2)
  history.add(streams.apiKey(keyId), { type: 'ApiKeyIssued', data: { ...data, ...narrowed, secretHash } })
  await project()
}

t.test('a narrowed key sees what both its owner and it may, in lists, pages and alone', async t => {
  await grant('chief', 'auditor', everything)
  await grant('part', 'auditor', prod)
  await grant('part', 'viewer', on('target', ids.target(0)))
  await grant('part', 'viewer', on('job', ids.job(0)))
  const rounds: Scope = { kind: 'labels', labels: 'round in (3,4,5)' }
  const scopes = [rounds, on('target', ids.target(0)), on('job', ids.job(0)), on('job', ids.job(1))]
  await issueKey('chief-key', 'chief', { scopes })
  await issueKey('part-key', 'part', { scopes })
  await issueKey('reading-key', 'part', { permissions: ['target:read'], scopes: [prod] })
  const isIn = ({ tags, targetId }: Item) => /^[345]$/.test(tags?.round ?? '') || targetId === ids.target(0)
  const targets = await all('reader', '/v1/targets')
  const names = (items: Item[]) => items.map(({ targetId }) => targetId).sort()
  const ofChief = names(targets.filter(isIn))
  const ofPart = names(
    targets.filter(item => isIn(item) && (item.tags?.env === 'prod' || item.targetId === ids.target(0))),
  )
  t.ok(ofPart.length > 1 && ofPart.length < ofChief.length, `${ofPart.length} of ${ofChief.length}`)
  t.same(names(await all('chief-key', '/v1/targets')), ofChief)
  t.same(names(await all('part-key', '/v1/targets')), ofPart)
  t.same(names(await all('part-key', '/v1/targets?asOf=@300')), ofPart)
  for (const { targetId = '' } of targets)
    t.equal((await ask('part-key', `/v1/targets/${targetId}`)).statusCode === 200, ofPart.includes(targetId), targetId)
  t.same(names(await all('reading-key', '/v1/targets')), names(targets.filter(({ tags }) => tags?.env === 'prod')))
  t.equal((await ask('reading-key', '/v1/jobs')).statusCode, 403)
  const jobs = async (who: string) => (await all(who, '/v1/jobs')).map(({ jobId }) => jobId).sort()
  t.same(await jobs('chief-key'), [ids.job(0), ids.job(1)].sort())
  t.same(await jobs('part-key'), [ids.job(0)])
  const runs = async (who: string, of = '') => (await all(who, `/v1/runs${of}`)).map(({ runId }) => runId).sort()
  t.same(await runs('part-key'), await runs('reader', `?jobId=${ids.job(0)}`))
  const told = (await all('chief-key', '/v1/audit')).filter(({ resource }) => resource?.type === 'job')
  t.ok(told.length > 0)
  t.ok(told.every(({ resource }) => [ids.job(0), ids.job(1)].includes(resource?.id ?? '')))
  t.equal((await ask('chief-key', '/v1/credentials')).statusCode, 403, 'none of its scopes is about credentials')
})

t.test('many scopes of a key on many grants of its owner stay a short question', async t => {
  const labels = (key: string, n: number) => ({ kind: 'labels' as const, labels: `${key}=${n}` })
  const grants = Array.from({ length: 50 }, (_, n) => labels('team', n))
  const scopes = [...Array.from({ length: 18 }, (_, n) => labels('zone', n)), on('target', ids.target(0))]
  const pairs = grants.flatMap(grant => scopes.map(scope => ({ kind: 'all-of' as const, of: [grant, scope] })))
  const other = { kind: 'all-of' as const, of: [on('target', ids.target(1)), labels('zone', 3)] }
  const conditions = new Conditions()
  const text = permittedRows(conditions, [...pairs, other], ofVersions('target'))
  t.equal(
    text,
    '(((labels && $1::text[])) and ((labels && $2::text[]) or (id = any($3::text[])))) or (((id = any($4::text[]))) and ((labels && $5::text[])))',
  )
  t.match(
    conditions.values.map(value => (Array.isArray(value) ? value.length : value)),
    [50, 18, 1, 1, 1],
  )
})

t.test('a refusal to a key says that it is the key', async t => {
  const explain = (who: string, query: string) => ask(who, `/v1/access/explain?permission=${query}`)
  t.match((await explain('part-key', `job:read&resource=job:${ids.job(0)}`)).json(), { allowed: true, why: 'granted' })
  const refused = (await explain('chief-key', `job:read&resource=job:${ids.job(2)}`)).json()
  t.match(refused, {
    ...{ allowed: false, why: 'outside-key', considered: [{ role: 'auditor', verdict: 'outside-key' }] },
    narrowedTo: [/all that its owner may on targets round in/, /on target/, /on job/, /on job/],
  })
  t.match((await explain('reading-key', `job:read&resource=job:${ids.job(0)}`)).json(), { why: 'outside-key' })
  t.match((await explain('part-key', `job:read&resource=job:${ids.job(1)}`)).json(), { why: 'out-of-scope' })
  t.match((await explain('part', `job:read&resource=job:${ids.job(0)}`)).json(), { allowed: true, narrowedTo: null })
  const shown = (await ask('reader', `/v1/api-keys/${user('reading-key')}`)).json()
  t.match(shown, { permissions: ['target:read'], scopes: [prod] })
  t.equal((await ask('reader', `/v1/api-keys/${user('chief-key')}`)).json().permissions, null)
})

t.test('a personal credential is there for its owner and for whoever oversees it', async t => {
  const credentialId = derivedId('personal')
  const stream = streams.credential(credentialId)
  const owner = { kind: 'user', id: user('erna') } as const
  const sealed = { sealId: credentialId, kekId: 'kek-1', fingerprint: 'f'.repeat(64), ciphertextDigest: 'c'.repeat(64) }
  const kind = 'password' as const
  const described = { credentialId, name: 'erna at home', username: 'erna', kind, owner }
  history.add(stream, { type: 'CredentialCreated', data: described }, { actor: owner })
  history.add(stream, { type: 'CredentialVersionAdded', data: { credentialId, version: 1, kind, ...sealed } })
  const role = 'ledger-clerk'
  history.add(streams.role(role), {
    type: 'RoleDefined',
    data: { role, permissions: ['credential:read', 'audit:read'] },
  })
  await project()
  const before = history.events.length - 1
  for (const who of ['erna', 'otto']) await grant(who, role, everything)
  await grant('warden', 'credential-admin', everything)
  await grant('partly', role, everything)
  await grant('partly', 'credential-admin', on('credential', credentialId))
  await grant('elsewhere', role, everything)
  await grant('elsewhere', 'credential-admin', on('credential', ids.credential(0)))
  await issueKey('erna-key', 'erna', {})
  const shared = [0, 1, 2].map(ids.credential).sort()
  const every = [...shared, credentialId].sort()
  const seen = async (who: string, of = '') =>
    (await all(who, `/v1/credentials${of}`)).map(item => item.credentialId).sort()
  const paths = ['', `?asOf=@${before}`, '/history', '/blame', `/blame?asOf=@${before}`, '/uses']
  for (const [who, expected] of [
    ['erna', every],
    ['erna-key', every],
    ['warden', every],
    ['partly', every],
    ['otto', shared],
    ['elsewhere', shared],
  ] as const) {
    t.same(await seen(who), expected, who)
    t.same(await seen(who, `?asOf=@${before}`), expected, `${who}, then`)
    t.same(await seen(who, '?name=at%20HOME'), expected === every ? [credentialId] : [], `${who}, by name`)
    for (const path of paths) {
      const hidden = await ask(who, `/v1/credentials/${credentialId}${path}`)
      const absent = await ask(who, `/v1/credentials/${derivedId('nothing')}${path}`)
      const { correlationId: _, ...said } = hidden.json()
      const { correlationId: __, ...wanted } = absent.json()
      t.equal(hidden.statusCode, expected === every ? 200 : 404, `${who} ${path}`)
      if (expected === shared) t.same(said, wanted)
    }
  }
  const about = (records: Item[]) => records.filter(({ resource }) => resource?.id === credentialId)
  const others = (records: Item[]) => records.filter(({ resource }) => resource?.id !== credentialId)
  const [hers, theirs] = [await all('erna', '/v1/audit'), await all('otto', '/v1/audit')]
  t.equal(about(hers).length, 2)
  t.equal(about(await all('erna-key', '/v1/audit')).length, 2)
  t.equal(about(await all('partly', '/v1/audit')).length, 2)
  t.same(theirs, others(hers), 'all but these two')
  t.notMatch(JSON.stringify(theirs), 'erna at home')
  const position = about(hers)[0]?.position
  t.equal((await ask('erna', `/v1/audit/${position}`)).statusCode, 200)
  t.equal((await ask('otto', `/v1/audit/${position}`)).statusCode, 404)
})

t.test('a service account without anybody who answers for it shows as such, now and as of then', async t => {
  const serviceAccountId = derivedId('account')
  const account = streams.serviceAccount(serviceAccountId)
  const data = { serviceAccountId, name: 'nightly' }
  const owner = { kind: 'user', id: user('ann') } as const
  const shown = async (when = '') => (await ask('reader', `/v1/service-accounts/${serviceAccountId}${when}`)).json()
  history.add(account, { type: 'ServiceAccountCreated', data })
  await project()
  t.match(await shown(), { owner: null, ownerless: true })
  history.add(account, { type: 'ServiceAccountOwnerChanged', data: { serviceAccountId, owner, reason: 'hers' } })
  await project()
  const before = history.events.length - 1
  t.match(await shown(), { owner, ownerless: false })
  history.add(account, { type: 'ServiceAccountOrphaned', data: { ...data, owner } })
  await project()
  t.match(await shown(), { owner, ownerless: true, status: 'active' })
  t.match(await shown(`?asOf=@${before}`), { owner, ownerless: false })
  t.match(await all('reader', '/v1/service-accounts'), [{ name: 'nightly', ownerless: true }])
  const told = await all('reader', '/v1/audit?outcome=failure&type=ServiceAccountOrphaned')
  t.match(told, [{ type: 'ServiceAccountOrphaned', outcome: 'failure' }])
})

t.test('as of another moment the same is seen as now', async t => {
  await grant('past', 'viewer', prod)
  const now = (await all('past', '/v1/targets')).map(item => item.targetId)
  const then = (await all('past', '/v1/targets?asOf=@200')).map(item => item.targetId)
  t.same(now.sort(), then.sort())
  const hidden = ids.target(0)
  for (const path of ['', '?asOf=@200', '/history', '/blame', '/blame?asOf=@200'])
    t.equal((await ask('past', `/v1/targets/${hidden}${path}`)).statusCode, 404, path)
})

t.test('what may not be seen is answered like what is not there', async t => {
  await grant('narrow', 'auditor', on('job', ids.job(0)))
  await grant('narrow', 'auditor', on('target', ids.target(3)))
  await grant('narrow', 'auditor', on('executor', 'executor-9'))
  await grant('narrow', 'auditor', on('credential', ids.credential(1)))
  const other = (await all('reader', '/v1/runs')).find(run => run.jobId === ids.job(1))?.runId ?? ''
  const seen: Record<string, [string, string]> = {
    run: [other, derivedId('nowhere')],
    job: [ids.job(1), derivedId('nowhere')],
    target: [ids.target(1), derivedId('nowhere')],
    credential: [ids.credential(0), derivedId('nowhere')],
  }
  const routes = describedRoutes(http).filter(({ url }) => /^\/v1\/(runs|jobs|targets|credentials)\/:id/.test(url))
  t.ok(routes.length >= 15)
  const params: Record<string, string> = {
    ...{ ':n': '0', ':step': 'first', ':attempt': '1', ':version': '1', ':sha256': 'ab'.repeat(32) },
  }
  for (const { url, operation } of routes) {
    const [hidden, absent] = seen[/^\/v1\/([a-z]+)s\//.exec(url)?.[1] ?? ''] ?? []
    const query = /results/.test(url) ? '?step=first' : ''
    const at = (id: string | undefined) =>
      `${url.replace(':id', id ?? '').replace(/:[a-z0-9]+/g, name => params[name] ?? '')}${query}`
    const headers = { authorization: `Bearer ${user('narrow')}`, prefer: 'wait=0' }
    const [one, two] = [
      await http.inject({ url: at(hidden), headers }),
      await http.inject({ url: at(absent), headers }),
    ]
    t.equal(one.statusCode, 404, `${operation.operationId} ${one.body}`)
    const { correlationId: _, ...said } = one.json()
    const { correlationId: __, ...wanted } = two.json()
    t.same(said, wanted, url)
  }
})

t.test('records are seen of what is seen, and of nothing else', async t => {
  await grant('clerk', 'auditor', on('job', ids.job(2)))
  const runs = new Set((await all('reader', `/v1/runs?jobId=${ids.job(2)}`)).map(run => run.runId))
  const records = await all('clerk', '/v1/audit')
  t.ok(records.length > runs.size)
  for (const { runId, resource } of records)
    t.ok(runs.has(runId ?? '') || resource?.id === ids.job(2), JSON.stringify(resource))
  const everyRecord = await all('reader', '/v1/audit')
  const expected = everyRecord.filter(({ runId, resource }) => runs.has(runId ?? '') || resource?.id === ids.job(2))
  t.equal(records.length, expected.length)
  const other = everyRecord.find(({ position }) => !records.some(record => record.position === position))
  t.equal((await ask('clerk', `/v1/audit/${other?.position}`)).statusCode, 404)
  t.equal((await ask('clerk', `/v1/audit/${records[0]?.position}`)).statusCode, 200)
  await grant('tags', 'auditor', prod)
  const ofTargets = await all('tags', '/v1/audit')
  t.ok(ofTargets.length > 0)
  for (const { resource } of ofTargets) t.equal(resource?.type, 'target')
})

t.test('a file is for who may see a run that fetched it, and for who uploaded it', async t => {
  const store = createArtifactStore(pool, systemClock, 1e9)
  const put = async (text: string) => {
    const upload = { uploadId: derivedId('upload', text), owner: 'spec' }
    const whole = Buffer.from(text)
    await store.addChunk(upload, 0, whole)
    await store.finish(upload, { sha256: sha256Hex(whole), bytes: whole.length }, async () => undefined)
    return sha256Hex(whole)
  }
  const [fetched, uploaded, none] = [await put('fetched'), await put('uploaded'), await put('of nobody')]
  const rules = { timeoutSeconds: 60, continueOnError: false, idempotent: false }
  const steps = [
    { id: 'first', uses: 'file.get' as const, with: { path: '/etc/motd', maxBytes: 1_000 }, ...rules },
    { id: 'second', uses: 'ssh.command' as const, with: { command: 'sha256sum x' }, ...rules },
  ]
  const job = { jobId: ids.job(70), version: 1, steps, selection: { labels: 'env=prod' }, digest: none }
  history.add(streams.job(job.jobId), { type: 'JobDefined', data: { jobId: job.jobId, name: 'fetch' } })
  history.add(streams.job(job.jobId), { type: 'JobVersionPublished', data: job })
  const runId = history.request(7_000, 70, [0])
  history.claim(7_000, 0, 0)
  const step = { runId, n: 0, stepId: 'first', attempt: 1, epoch: 1, at: '2026-01-01T01:00:00.000Z' }
  const stream = streams.targetRun(runId, 0)
  history.add(stream, { type: 'StepStarted', data: step })
  const output = { bytes: 0, chunks: 0, sha256: none, truncated: false }
  const outputs = { sha256: fetched }
  history.add(stream, { type: 'StepSucceeded', data: { ...step, seq: 1, output, exitCode: 0, outputs } })
  const claims = { ...step, stepId: 'second', seq: 2, output, exitCode: 0, outputs: { sha256: none } }
  history.add(stream, { type: 'StepStarted', data: { ...step, stepId: 'second' } })
  history.add(stream, { type: 'StepSucceeded', data: claims })
  const by = (name: string) => ({ actor: { kind: 'user' as const, id: user(name) } })
  const stored = { type: 'ArtifactStored', data: { sha256: uploaded, bytes: 8 } } as const
  history.add(streams.artifact(uploaded), stored, by('uploader'))
  await grant('of-run', 'viewer', on('run', runId))
  await grant('of-job', 'viewer', on('job', job.jobId))
  await grant('uploader', 'viewer', on('job', ids.job(1)))
  await grant('of-all', 'viewer', everything)
  const seen = async (who: string) => {
    const answers = await Promise.all([fetched, uploaded, none].map(sha256 => ask(who, `/v1/artifacts/${sha256}`)))
    return answers.map(({ statusCode, body }) => (statusCode === 200 ? body : statusCode))
  }
  t.same(await seen('of-run'), ['fetched', 404, 404], 'not what a step only says it has')
  t.same(await seen('of-job'), ['fetched', 404, 404])
  t.same(await seen('uploader'), [404, 'uploaded', 404])
  t.same(await seen('of-all'), ['fetched', 'uploaded', 'of nobody'])
  t.same(await seen('nobody-at-all'), [403, 403, 403])
  const problem = async (sha256: string) => {
    const { correlationId: _, ...body } = (await ask('uploader', `/v1/artifacts/${sha256}`)).json()
    return body
  }
  t.same(await problem(fetched), await problem('0'.repeat(64)), 'as if it were not there')
})

t.test('who may do what is told with its reasons, and only to those who may ask', async t => {
  const groupId = derivedId('group', 1)
  history.add(streams.group(groupId), { type: 'GroupCreated', data: { groupId, name: 'team' } })
  const member = { kind: 'user', id: user('eve') } as const
  history.add(streams.group(groupId), { type: 'GroupMemberAdded', data: { groupId, member } })
  const before = history.events.length - 1
  const given = await grant({ kind: 'group', id: groupId }, 'operator', on('job', ids.job(0)))
  const past = await grant('eve', 'operator', everything, '2026-01-01T00:00:00.000Z')
  const explain = (who: string, query: string) => ask(who, `/v1/access/explain?permission=run:trigger&${query}`)
  t.match((await explain('eve', `resource=job:${ids.job(0)}`)).json(), {
    ...{ allowed: true, why: 'granted', grantId: given },
    considered: [
      { grantId: past, verdict: 'expired', via: null },
      { grantId: given, role: 'operator', via: groupId, verdict: 'permits', scope: `job ${ids.job(0)}` },
    ],
  })
  const refused = (await explain('eve', `resource=job:${ids.job(1)}`)).json()
  t.match(refused, { allowed: false, grantId: null, considered: [{ verdict: 'expired' }, { verdict: 'out-of-scope' }] })
  t.match((await explain('eve', `resource=job:${ids.job(0)}&asOf=@${before}`)).json(), {
    allowed: false,
    considered: [],
  })
  t.match((await explain('reader', `resource=job:${ids.job(0)}`)).json(), { why: 'inactive' }, 'a key of the key file')
  t.equal((await explain('eve', `principal=user:${user('mixed')}`)).statusCode, 403)
  t.equal((await explain('eve', `principal=user:${user('eve')}`)).statusCode, 200)
  t.equal((await ask('eve', '/v1/access/who-can?permission=run:read')).statusCode, 403)
  await grant('warden', 'auditor', everything)
  t.match((await explain('warden', `principal=user:${user('eve')}&resource=job:${ids.job(0)}`)).json(), {
    allowed: true,
  })
  const asTarget = `/v1/access/explain?permission=target:read&principal=user:${user('past')}&resource=target:`
  t.match((await ask('warden', asTarget + ids.target(1))).json(), { allowed: true })
  t.match((await ask('warden', asTarget + ids.target(0))).json(), { why: 'out-of-scope' })
  const whoCan = (await ask('warden', `/v1/access/who-can?permission=run:trigger&resource=job:${ids.job(0)}`)).json()
  t.match(whoCan, { items: [{ principal: { kind: 'user', id: user('eve') }, via: groupId, grantId: given }], more: 0 })
  const run = (await all('reader', `/v1/runs?jobId=${ids.job(0)}`))[0]?.runId
  const cancel = (await ask('warden', `/v1/access/who-can?permission=run:cancel&resource=run:${run}`)).json()
  t.same(
    cancel.items.map((item: Item) => item.grantId),
    [given],
  )
  t.same((await ask('warden', `/v1/access/who-can?permission=run:cancel&asOf=@${before}`)).json().items.length, 0)
})

t.test('who could take a right in an emergency is among those who can, and marked', async t => {
  const [ready, taken] = ['ready', 'taken'].map(name => ({ kind: 'user', id: user(name) }) as const)
  const ofReady = await grant('ready', 'break-glass', everything)
  const breakGlassId = derivedId('break-glass', 1)
  const broken = { breakGlassId, principal: taken, reason: 'down', ticket: 'INC-1', minutes: 120 }
  const until = new Date(Date.now() + 3_600_000).toISOString()
  history.add(streams.breakGlass(breakGlassId), { type: 'BreakGlassActivated', data: { ...broken, until } } as never)
  await grant('boss', 'auditor', everything)
  const ask1 = async (permission: string) =>
    (await ask('boss', `/v1/access/who-can?permission=${permission}`)).json().items as Item[]
  const items = await ask1('credential:use')
  const of = (who: typeof ready) => items.filter(({ principal }) => JSON.stringify(principal).includes(who?.id ?? ''))
  t.match(of(ready), [{ breakGlass: 'possible', grantId: ofReady, role: 'break-glass' }])
  t.match(of(taken), [{ breakGlass: 'active', grantId: breakGlassId, via: 'break-glass', until }])
  t.equal(items.at(-1)?.breakGlass, 'possible', 'those who may now come first')
  t.ok(items.some(({ breakGlass }) => breakGlass === null))
  t.match(await ask1('break-glass:activate'), [{ grantId: ofReady, breakGlass: null }])
})

t.test('a grant can be tried out', async t => {
  await grant('asker', 'user-admin', everything)
  await grant('asker', 'operator', prod)
  const simulate = async (query: string) =>
    (await ask('asker', `/v1/access/simulate?principal=user:${user('zoe')}&${query}`)).json()
  const asked = `permission=target:use&resource=target:${ids.target(1)}`
  t.match(await simulate(`role=operator&scope=labels:env=prod&${asked}`), {
    gains: ['target:read', 'status:read', 'target:use', 'artifact:write', 'command:send'],
    ...{ has: [], means: 'operator on targets env=prod', targets: 10, people: 1, mayGrant: true, lacking: null },
    judgement: { before: false, after: true },
  })
  const wider = await simulate('role=operator&scope=everything')
  t.match(wider, { mayGrant: false, targets: 10, judgement: null }, 'of those that one may see')
  t.match(await simulate(`role=viewer&scope=job:${ids.job(0)}`), { mayGrant: false, targets: null })
  t.match(await simulate('role=nothing&scope=everything'), { status: 404 })
  t.match(await simulate('role=viewer&scope=labels:'), { status: 400 })
})

t.test('what is taken back is felt within a second, also by those who read on', async t => {
  const grantId = await grant('live', 'auditor', everything)
  const runId = (await all('reader', '/v1/runs?status=running,queued'))[0]?.runId ?? ids.run(0)
  const [feed, run] = await Promise.all([follow('live', '/v1/events'), follow('live', `/v1/runs/${runId}/events`)])
  t.equal((await ask('live', '/v1/targets')).statusCode, 200)
  history.add(streams.grant(grantId), { type: 'RoleRevoked', data: { grantId, reason: 'left' } })
  const began = Date.now()
  await project()
  t.equal((await ask('live', '/v1/targets')).statusCode, 403)
  const [ofFeed, ofRun] = await Promise.all([feed.end, run.end])
  t.match(ofFeed, /event: resume\ndata: \{"why":"access has ended"\}/)
  t.match(ofRun, /event: (resume|end)/)
  t.ok(Date.now() - began < 1_000, `${Date.now() - began} ms`)
  t.equal((await ask('live', '/v1/events')).statusCode, 403)
})

/** Resolves once the stream is open; `end` with all it said. */
async function follow(who: string, path: string): Promise<{ end: Promise<string> }> {
  return await new Promise((opened, failed) => {
    const headers = { authorization: `Bearer ${user(who)}` }
    const request = httpGet(`${base}${path}`, { headers, agent: false }, response => {
      let said = ''
      response.setEncoding('utf8').on('data', text => {
        said += text
      })
      const end = new Promise<string>(resolve => response.on('close', () => resolve(said)))
      opened({ end })
    })
    request.on('error', failed)
  })
}

t.test('before anything was read nobody may read', async t => {
  const empty = await serveQueries(t, (await freshDatabase(t)).url)
  t.equal(empty.access.live, false)
  const answer = await empty.http.inject({ url: '/v1/targets', headers: { authorization: 'Bearer reader' } })
  t.equal(answer.statusCode, 503)
})
