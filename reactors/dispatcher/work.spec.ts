import t from 'tap'
import { type Credential, fold, job, target } from '../../command-api/domain/index.ts'
import { derivedId } from '../../infra/ids.ts'
import { type CredentialKind, sshKinds } from '../../schemas/credential.ts'
import type { JobEvent } from '../../schemas/job.ts'
import type { RenderedStep } from '../../schemas/steps/index.ts'
import { ActiveRun } from '../runs/active-run.ts'
import { deal, MAX_ASSIGNMENTS } from './deal.ts'
import { secretsOf } from './secrets.ts'
import { credentialOf, stepsOf, targetOf } from './work.ts'

const jobId = derivedId('job', 'uptime')
const step = (command: string) => ({
  ...{ id: 'uptime', timeoutSeconds: 60, continueOnError: false, idempotent: false },
  uses: 'ssh.command' as const,
  with: { command },
})
const published = (version: number, command: string): JobEvent => ({
  type: 'JobVersionPublished',
  data: { jobId, version, steps: [step(command)], digest: 'ab'.repeat(32) },
})

t.test('steps are those of the version the run was triggered with', async t => {
  const state = fold(job, [
    { type: 'JobDefined', data: { jobId, name: 'uptime' } },
    published(1, 'uptime'),
    published(2, 'uptime -p'),
    { type: 'JobArchived', data: { jobId, reason: 'obsolete' } },
  ])
  const version = stepsOf(state, 1)
  t.match(version, { version: 1, steps: [{ with: { command: 'uptime' } }] })
  t.match(stepsOf(state, 3), { class: 'internal', detail: /no version 3/ })
  t.match(stepsOf({ status: 'absent' }, 1), { class: 'internal' })
})

t.test('a target is taken as it is now', async t => {
  const targetId = derivedId('target', 'web-1')
  const described = { platform: 'linux', tags: {}, hostKeyPolicy: 'first-use' } as const
  const data = { targetId, name: 'web-1', address: '10.0.0.1', port: 22, ...described }
  const state = fold(target, [
    { type: 'TargetRegistered', data },
    { type: 'HostKeyObserved', data: { targetId, hostKey: 'ssh-ed25519 AAAA', runId: jobId } },
  ])
  t.same(targetOf(state, targetId), {
    ...{ targetId, name: 'web-1', address: '10.0.0.1', port: 22 },
    hostKey: { policy: 'first-use', key: 'ssh-ed25519 AAAA' },
  })
  t.match(targetOf({ status: 'absent' }, targetId), { class: 'internal', detail: /there is no target/ })
})

t.test('the newest version of a credential is used, unless it is revoked', async t => {
  const sealed = { sealId: jobId, kekId: 'k', fingerprint: 'ab'.repeat(32), ciphertextDigest: 'ab'.repeat(32) }
  const use = { actor: { kind: 'user', id: 'anna' }, kinds: sshKinds, now: '2030-01-01T00:00:00.000Z' } as const
  const active: Exclude<Credential, { status: 'absent' }> = {
    ...{ status: 'active', credentialId: jobId, name: 'deploy', username: 'deploy', description: undefined },
    ...{ owner: undefined, warned: undefined },
    latestVersion: 2,
    versions: [
      { version: 1, kind: 'password', ...sealed },
      { version: 2, kind: 'ssh-key', ...sealed },
    ],
  }
  t.same(credentialOf(active, jobId, use), { credentialId: jobId, version: 2, kind: 'ssh-key', username: 'deploy' })
  t.match(credentialOf({ ...active, status: 'revoked' }, jobId, use), {
    class: 'credential-unavailable',
    detail: /revoked/,
  })
  t.match(credentialOf({ ...active, versions: [] }, jobId, use), {
    class: 'credential-unavailable',
    detail: /no version/,
  })
  t.match(credentialOf({ status: 'absent' }, jobId, use), { class: 'credential-unavailable', detail: /there is no/ })
  const newest = (more: object, owner?: { kind: 'user'; id: string }) => {
    const version = { version: 3, kind: 'password' as const, ...sealed, ...more }
    return credentialOf({ ...active, versions: [version], owner }, jobId, use)
  }
  t.match(newest({ expiresAt: use.now }), { class: 'credential-unavailable', detail: /has expired/ })
  t.match(newest({ expiresAt: '2030-01-01T00:00:00.001Z' }), { version: 3 })
  t.match(newest({ kind: 'api-token' }), { class: 'credential-unavailable', detail: /of no use here/ })
  const personal = newest({}, { kind: 'user', id: 'bert' })
  t.match(personal, { class: 'credential-unavailable', detail: /is personal/ })
  t.notMatch(personal, { detail: /deploy/ }, 'its name is told to nobody else')
  t.match(newest({}, { kind: 'user', id: 'anna' }), { version: 3 })
})

t.test('what a step is given is of a kind that it can use', async t => {
  const asked: Array<[string, string[]]> = []
  const credentials = async (credentialId: string, kinds: ReadonlySet<CredentialKind>) => {
    asked.push([credentialId, [...kinds].sort()])
    return { credentialId, version: 4, kind: 'generic' as const, username: 'x' }
  }
  const step = (id: string, more: object): RenderedStep => ({
    ...{ id, action: { uses: 'noop', with: {} }, timeoutSeconds: 1, continueOnError: false },
    ...more,
  })
  const due = [step('a', { stdinCredentialId: 'one' }), step('b', {}), step('c', { clientCertificateId: 'two' })]
  t.same(await secretsOf(credentials, due), {
    secrets: [
      { stepId: 'a', credentialId: 'one', version: 4 },
      { stepId: 'c', credentialId: 'two', version: 4 },
    ],
  })
  t.same(asked[1], ['two', ['client-certificate']])
  t.ok(asked[0]?.[1].includes('api-token') && !asked[0][1].includes('ssh-certificate'))
})

const request = {
  ...{ runId: jobId, jobId, jobVersion: 1, jobName: 'uptime', selection: { labels: 'env=prod' }, targets: 200 },
  ...{ initiator: { kind: 'user' as const, id: 'anna' }, correlationId: jobId, requestEventId: jobId },
  requestedAt: '2026-03-01T12:00:00.000Z',
}

t.test('work is dealt one by one to each who asks, up to its slots and to what one answer may hold', async t => {
  const run = new ActiveRun(request, undefined)
  const dealt = (count: number, ...slots: number[]) => {
    let n = 0
    const next = () => {
      n += 1
      return n <= count ? { run, n, turn: 1 } : undefined
    }
    const asking = slots.map(each => ({ pool: 'default', labels: {}, request: { slots: each } }))
    const hands = deal(asking, next)
    return asking.map(each =>
      hands
        .get(each)
        ?.map(reservation => reservation.n)
        .join(),
    )
  }
  t.same(dealt(5, 10, 10), ['1,3,5', '2,4'])
  t.same(dealt(5, 1, 10), ['1', '2,3,4,5'])
  t.same(dealt(1, 4, 4), ['1', undefined])
  t.equal(dealt(200, 1_000)[0]?.split(',').length, MAX_ASSIGNMENTS)
})

t.test('work goes to those alone whose pool and labels are wanted', async t => {
  const left = new Map([
    ['default {}', 1],
    ['default {"site":"east"}', 3],
    ['lab {"site":"east"}', 1],
  ])
  const asked: string[] = []
  const run = new ActiveRun(request, undefined)
  const reserve = (pool: string, labels: object) => {
    const key = `${pool} ${JSON.stringify(labels)}`
    asked.push(key)
    const count = left.get(key) ?? 0
    left.set(key, count - 1)
    return count > 0 ? { run, n: count, turn: 1 } : undefined
  }
  const ask = (name: string, pool: string, labels: Record<string, string>, slots = 10) => ({
    ...{ name, pool, labels, request: { slots } },
  })
  const east = { site: 'east' }
  const asking = [
    ask('a', 'default', {}),
    ask('b', 'default', east),
    ask('c', 'default', east),
    ask('d', 'lab', east, 1),
  ]
  const hands = deal([...asking, ask('e', 'default', { site: 'west' })], reserve)
  t.same(
    [...hands].map(([{ name }, hand]) => `${name} ${hand.length}`),
    ['a 1', 'b 2', 'c 1', 'd 1'],
  )
  t.equal(asked.filter(key => key.endsWith('"west"}')).length, 1, 'who cannot be given any is not asked for again')
})
