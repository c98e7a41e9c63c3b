import t from 'tap'
import { AppendOutcomeUnknown, type EventStore } from '../infra/event-store/port.ts'
import { systemIds } from '../infra/ids.ts'
import { commands } from '../schemas/commands.ts'
import { type AnyEvent, eventSchemas, type Recorded } from '../schemas/events.ts'
import { commandApi } from '../test/support/command-api.ts'
import { commanding, ok, refused } from '../test/support/commanding.ts'
import { until } from '../test/support/process.ts'
import { vaultBench } from '../test/support/vault.ts'
import { createVaultClient } from './vault-client.ts'

const bench = await vaultBench(t)
const { store, bus, log } = bench
await bench.startVault()
const vault = createVaultClient(bus)
const api = await commandApi(t, { store, vault, log })
const { send, http } = api

const target = { name: 'web-1', address: '192.0.2.1', tags: { env: 'prod' } }
const secret = { kind: 'password', password: 'correct horse battery staple' }
const steps = [{ id: 'uptime', uses: 'ssh.command', with: { command: 'uptime' } }]
const typesOf = async (stream: string) => (await store.read(stream)).events.map(e => e.type)
const { create } = commanding(api)

t.test('an accepted command says where its events are and who did it', async t => {
  const answer = await send('create-target', target, {
    'x-correlation-id': '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d',
    'x-justification': Buffer.from('neue Maschine für Köln').toString('latin1'),
    'x-ticket': 'OPS-7',
    'user-agent': 'opsconductor-cli/1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  })
  t.equal(answer.statusCode, 201)
  t.equal(answer.headers.etag, '"0"')
  const { stream, commandId, position, events } = answer.json()
  const { events: stored } = await store.read(stream)
  t.match(stored, [
    {
      type: 'TargetRegistered',
      id: events[0].id,
      data: { ...target, port: 22, platform: 'linux', hostKeyPolicy: 'first-use' },
      position: { commit: BigInt(position) },
      metadata: {
        commandId,
        command: 'create-target',
        $correlationId: '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d',
        $causationId: commandId,
        actor: { kind: 'api-key', id: 'ann' },
        origin: { channel: 'cli', ip: '127.0.0.1', userAgent: 'opsconductor-cli/1' },
        justification: 'neue Maschine für Köln',
        ticket: 'OPS-7',
        traceparent: /^00-0af7/,
        schemaVersion: 1,
      },
    },
  ])
})

/** Those that take a run that has come further: in a spec of their own. */
const ofRuns = new Set([
  'rerun',
  'pause-run',
  'resume-run',
  'grant-approval',
  'delegate-approval',
  'deny-approval',
  'cancel-target-run',
  'cancel-step',
  'resolve-step',
])

t.test('every command does what it says, and its repeat changes nothing', async t => {
  const credentialId = await create('create-credential', { name: 'deploy', username: 'deploy', secret })
  const targetId = await create('create-target', { ...target, credentialId })
  const jobId = await create('define-job', { name: 'uptime', steps, selection: { targetIds: [targetId] } })
  const runId = await create('trigger-run', { jobId })
  const hostKey = String(commands['pin-host-key']?.example.hostKey)
  const changes: Array<[string, Record<string, unknown>, AnyEvent['type']]> = [
    ['rename-target', { targetId, name: 'web-01' }, 'TargetRenamed'],
    ['change-target-address', { targetId, address: '192.0.2.2' }, 'TargetAddressChanged'],
    ['tag-target', { targetId, key: 'role', value: 'web' }, 'TargetTagged'],
    ['untag-target', { targetId, key: 'role' }, 'TargetUntagged'],
    ['pin-host-key', { targetId, hostKey }, 'HostKeyPinned'],
    ['assign-credential', { targetId, credentialId: systemIds.next() }, 'CredentialAssignedToTarget'],
    ['decommission-target', { targetId, reason: 'old' }, 'TargetDecommissioned'],
    ['reinstate-target', { targetId, reason: 'repaired' }, 'TargetReinstated'],
    [
      'add-credential-version',
      { credentialId, secret: { ...secret, password: 'another one' } },
      'CredentialVersionAdded',
    ],
    ['revoke-credential', { credentialId, reason: 'leaked' }, 'CredentialRevoked'],
    ['publish-job-version', { jobId, steps: [...steps, { ...steps[0], id: 'again' }] }, 'JobVersionPublished'],
    ['disable-job', { jobId, reason: 'review' }, 'JobDisabled'],
    ['enable-job', { jobId }, 'JobEnabled'],
    ['cancel-run', { runId }, 'RunCancellationRequested'],
    ['archive-job', { jobId, reason: 'obsolete' }, 'JobArchived'],
  ]
  for (const [name, data, type] of changes) {
    const first = await send(name, data)
    t.equal(first.statusCode, 200, name)
    t.match(first.json().events, [{ type }], name)
    if (name === 'revoke-credential' || name === 'add-credential-version') continue
    const again = await send(name, data)
    t.match([again.statusCode, again.json().events], [200, []], name)
    t.equal(again.headers.etag, first.headers.etag, name)
  }
  const covered = new Set([
    ...changes.map(([name]) => name),
    'create-credential',
    'create-target',
    'define-job',
    'trigger-run',
  ])
  const kinds = new Set<string>(['target', 'credential', 'job', 'run'])
  const here = Object.entries(commands).filter(([name, spec]) => kinds.has(spec.category) && !ofRuns.has(name))
  t.same([...covered].sort(), here.map(([name]) => name).sort(), 'no command is left out here')
  for (const stream of [`target-${targetId}`, `credential-${credentialId}`, `job-${jobId}`, `run-${runId}`])
    for (const event of (await store.read(stream)).events)
      t.ok(eventSchemas[event.type]?.safeParse(event.data).success, event.type)
})

t.test('a secret goes into the vault and nowhere else', async t => {
  const marked = { kind: 'password', password: 'canary-7f3a-tell-nobody' }
  const answer = await send(
    'create-credential',
    { name: 'deploy', username: 'deploy', secret: marked },
    { 'idempotency-key': 'canary' },
  )
  t.equal(answer.statusCode, 201)
  const { stream, commandId } = answer.json()
  const { events } = await store.read(stream)
  t.match(events, [
    { type: 'CredentialCreated' },
    { type: 'CredentialVersionAdded', data: { version: 1, fingerprint: /^[0-9a-f]{64}$/ } },
  ])
  const record = await store.read(`command-${commandId}`)
  const stored = JSON.stringify([...events, ...record.events], (_k, v) => (typeof v === 'bigint' ? String(v) : v))
  t.notMatch(`${stored}${answer.body}`, /canary-7f3a/)
  const typo = await send('create-credential', { name: 'x', username: 'x', secret: { ...marked, kind: 'passwort' } })
  t.equal(typo.statusCode, 400)
  const unusable = await send('create-credential', {
    name: 'x',
    username: 'x',
    secret: { kind: 'ssh-key', privateKey: `canary-7f3a ${'x'.repeat(40)}` },
  })
  await refused(t, Promise.resolve(unusable), 400, 'invalid-input')
  t.match(unusable.json().errors, [{ path: 'secret', message: /./ }])
  const sameKey = await send(
    'create-credential',
    { name: 'deploy', username: 'deploy', secret },
    { 'idempotency-key': 'canary' },
  )
  t.equal(sameKey.statusCode, 422, 'another secret is another body')
  t.notMatch(`${typo.body}${unusable.body}${sameKey.body}${bench.lines.join('')}`, /canary-7f3a/)
})

t.test('the same Idempotency-Key gives the same answer', async t => {
  const key = { 'idempotency-key': 'create-web-1' }
  const first = await send('create-target', target, key)
  const again = await send('create-target', { tags: target.tags, address: target.address, name: target.name }, key)
  t.equal(again.statusCode, first.statusCode)
  t.equal(again.body, first.body, 'whatever the order of the keys')
  t.equal(again.headers.etag, first.headers.etag)
  await refused(t, send('create-target', { ...target, name: 'web-2' }, key), 422, 'idempotency-key-reused')
  await refused(t, send('define-job', { name: 'a', steps }, key), 422, 'idempotency-key-reused', {
    what: 'another command',
  })
  const bob = await send('create-target', target, { ...key, authorization: 'Bearer bob' })
  t.not(bob.json().stream, first.json().stream, "bob's key is not ann's")
  await refused(t, send('create-target', target, { 'idempotency-key': 'a b' }), 400, 'invalid-input')
  const { events } = await store.read(`command-${first.json().commandId}`)
  t.match(events, [{ type: 'CommandReceived', data: { command: 'create-target', stream: first.json().stream } }])
})

t.test('also an answer without events is kept', async t => {
  const targetId = await create('create-target', target)
  const key = { 'idempotency-key': 'rename to the same' }
  const quiet = { 'idempotency-key': 'nothing-to-do' }
  await refused(t, send('rename-target', { targetId, name: 'x' }, key), 400, 'invalid-input')
  const nothing = await send('rename-target', { targetId, name: 'web-1' }, quiet)
  t.same(nothing.json().events, [])
  await ok(send('rename-target', { targetId, name: 'web-9' }))
  t.equal(
    (await send('rename-target', { targetId, name: 'web-1' }, quiet)).body,
    nothing.body,
    'although now there is something to do',
  )
  t.same(await typesOf(`command-${nothing.json().commandId}`), ['CommandReceived', 'CommandChangedNothing'])
})

t.test('and so is a refusal', async t => {
  const targetId = systemIds.next()
  const key = { 'idempotency-key': 'too-early' }
  const early = await refused(t, send('rename-target', { targetId, name: 'a' }, key), 404, 'target-not-found')
  await ok(send('create-target', { ...target, targetId }))
  const late = await refused(t, send('rename-target', { targetId, name: 'a' }, key), 404, 'target-not-found')
  t.equal(late.detail, early.detail)
  await ok(send('rename-target', { targetId, name: 'a' }))
})

t.test('a request in flight is not worked on twice', async t => {
  let arrived = () => {}
  const there = new Promise<void>(resolve => {
    arrived = resolve
  })
  let release = () => {}
  const gate = new Promise<void>(resolve => {
    release = resolve
  })
  const slow: EventStore = {
    ...store,
    append: async (stream, events, expected) => {
      arrived()
      await gate
      return store.append(stream, events, expected)
    },
  }
  const other = await commandApi(t, { store: slow, vault })
  const key = { 'idempotency-key': 'in-flight' }
  const first = other.send('create-target', target, key)
  await there
  await refused(t, other.send('create-target', target, key), 409, 'request-in-flight')
  release()
  t.equal((await first).statusCode, 201)
})

/** A store that is cut off for good after so many appends: what a killed process leaves behind. */
function dyingAfter(appends: number): EventStore {
  let left = appends
  return {
    ...store,
    append: async (stream, events, expected) => {
      const appended = await store.append(stream, events, expected)
      left -= 1
      if (left <= 0) throw new Error('killed')
      return appended
    },
  }
}

t.test('a crash at any point between the request and the reply leaves one effect', async t => {
  const cases: Array<[string, () => Record<string, unknown>]> = [
    ['create-target', () => target],
    ['create-credential', () => ({ name: 'deploy', username: 'deploy', secret })],
    ['define-job', () => ({ name: 'uptime', steps })],
  ]
  for (const [name, dataOf] of cases) {
    for (const appends of [1, 2]) {
      const data = dataOf()
      const key = { 'idempotency-key': `${name}-${appends}` }
      const dying = await commandApi(t, { store: dyingAfter(appends), vault })
      t.equal((await dying.send(name, data, key)).statusCode, 500)
      const next = await commandApi(t, { store, vault, forget: true })
      const answer = await next.send(name, data, key)
      t.equal(answer.statusCode, 201, `${name} after ${appends}`)
      const { stream, events } = answer.json()
      t.equal((await typesOf(stream)).length, events.length)
      t.equal((await send(name, data, key)).body, answer.body, 'from yet another process')
    }
  }
})

t.test('an append whose answer is lost is not a failure', async t => {
  let lost = 3
  const lossy: EventStore = {
    ...store,
    append: async (stream, events, expected) => {
      const appended = await store.append(stream, events, expected)
      if (lost-- > 0) throw new AppendOutcomeUnknown('cut')
      return appended
    },
  }
  const other = await commandApi(t, { store: lossy, vault })
  const answer = await other.send('create-target', target, { 'idempotency-key': 'lossy' })
  t.equal(answer.statusCode, 201)
  t.same(await typesOf(answer.json().stream), ['TargetRegistered'])
})

t.test('If-Match binds', async t => {
  const targetId = await create('create-target', target)
  const renamed = await send('rename-target', { targetId, name: 'a' }, { 'if-match': '"0"' })
  t.equal(renamed.headers.etag, '"1"')
  await refused(t, send('rename-target', { targetId, name: 'b' }, { 'if-match': '"0"' }), 412, 'precondition-failed')
  await refused(t, send('rename-target', { targetId, name: 'b' }, { 'if-match': 'W/"0"' }), 400, 'invalid-input')
  const rivals = await Promise.all(
    ['x', 'y', 'z'].map(name => send('rename-target', { targetId, name }, { 'if-match': '"1"' })),
  )
  t.same(rivals.map(r => r.statusCode).sort(), [200, 412, 412])
})

t.test('what a run needs is checked before it is accepted', async t => {
  const credentialId = await create('create-credential', { name: 'deploy', username: 'deploy', secret })
  const mark = systemIds.next()
  const made = await Promise.all(
    [0, 1, 2].map(() => create('create-target', { ...target, tags: { mark }, credentialId })),
  )
  const [first = '', second = '', gone = ''] = made
  const jobId = await create('define-job', { name: 'uptime', steps, selection: { labels: `mark=${mark}` } })
  const all = await ok(send('trigger-run', { jobId }))
  const { events } = await store.read(all.stream)
  t.match(events, [
    { type: 'RunRequested', data: { targets: 3, jobVersion: 1, initiator: { id: 'ann' } } },
    { type: 'TargetsResolved' },
  ])
  t.same(events[1]?.type === 'TargetsResolved' && [...events[1].data.targetIds].sort(), [...made].sort())

  await ok(send('decommission-target', { targetId: gone, reason: 'old' }))
  await ok(send('untag-target', { targetId: second, key: 'mark' }))
  const one = await store.read((await ok(send('trigger-run', { jobId }))).stream)
  t.match(one.events[1], { data: { targetIds: [first] } }, 'as it is now, not as it was')
  const both = await store.read(
    (await ok(send('trigger-run', { jobId, selection: { targetIds: [second], labels: `mark=${mark}` } }))).stream,
  )
  t.match(both.events[1], { data: { targetIds: [second, first] } }, 'named ones first')

  const bare = await create('create-target', target)
  const trigger = (more: object) => send('trigger-run', { jobId, ...more })
  const named = (...targetIds: string[]) => trigger({ selection: { targetIds } })
  await refused(t, send('trigger-run', { jobId: systemIds.next() }), 404, 'job-not-found')
  await refused(t, trigger({ version: 2 }), 404, 'job-version-not-found')
  await refused(t, named(systemIds.next()), 404, 'target-not-found', { what: 'missing target' })
  await refused(t, named(gone), 409, 'target-decommissioned', { what: 'decommissioned target' })
  await refused(t, named(bare), 409, 'credential-missing')
  await refused(t, trigger({ selection: { labels: `mark=${systemIds.next()}` } }), 409, 'empty-selection', {
    what: 'empty selection',
  })
  await refused(t, trigger({ selection: { labels: 'a b c' } }), 400, 'invalid-input', { what: 'no label expression' })
  const open = await create('define-job', { name: 'open', steps })
  await refused(t, send('trigger-run', { jobId: open }), 409, 'selection-missing')
  await ok(send('revoke-credential', { credentialId, reason: 'leaked' }))
  await refused(t, trigger({}), 409, 'credential-revoked', { what: 'credential revoked' })
  await refused(t, send('add-credential-version', { credentialId, secret }), 409, 'credential-revoked')
  await ok(send('disable-job', { jobId, reason: 'x' }))
  await refused(t, trigger({}), 409, 'job-disabled', { what: 'job disabled' })
})

t.test('a target made elsewhere a moment ago is found', async t => {
  const elsewhere = await commandApi(t, { store, vault })
  const credentialId = await create('create-credential', { name: 'deploy', username: 'deploy', secret })
  const jobId = await create('define-job', { name: 'uptime', steps })
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const mark = `${jobId}.${i}`
      const made = await elsewhere.send('create-target', { ...target, tags: { mark }, credentialId })
      t.equal(made.statusCode, 201)
      const run = await send('trigger-run', { jobId, selection: { labels: `mark=${mark}` } })
      t.equal(run.statusCode, 201, run.body)
    }),
  )
})

t.test('bad input gets its own answer', async t => {
  const deep = `{"name":${'['.repeat(40)}${']'.repeat(40)}}`
  const targetId = await create('create-target', target)
  const before = await store.head()
  await refused(t, send('create-target', { ...target, colour: 'red' }), 400, 'invalid-input', { what: 'unknown key' })
  const typed = await refused(t, send('create-target', { ...target, port: '22' }), 400, 'invalid-input', {
    what: 'wrong type',
  })
  t.match(typed.errors, [{ path: 'port', message: /number/ }])
  await refused(t, send('create-target', { ...target, name: 'x'.repeat(1_100_000) }), 413, 'body-too-large', {
    what: 'oversized body',
  })
  await refused(t, send('create-target', deep), 400, 'invalid-json', { what: 'deep JSON' })
  await refused(t, send('create-target', `{"name":"a","__proto__":{"address":"x"}}`), 400, 'invalid-json', {
    what: '__proto__',
  })
  await refused(t, send('create-target', Buffer.from([0x7b, 0xff, 0x7d])), 400, 'invalid-json', {
    what: 'invalid UTF-8',
  })
  await refused(t, send('create-target', { ...target, name: 'a\u001b[2J' }), 400, 'invalid-input', {
    what: 'control characters',
  })
  await refused(t, send('create-target', { ...target, address: 'http://x' }), 400, 'invalid-input', {
    what: 'no address',
  })
  const unknown = await refused(t, send('creat-target', target), 404, 'unknown-command', { what: 'unknown command' })
  t.equal(unknown.detail, 'Did you mean create-target?')
  t.equal((await refused(t, send('fly-to-the-moon', {}), 404, 'unknown-command')).detail, undefined)
  await refused(t, send('constructor', {}), 404, 'unknown-command')
  t.same(await store.head(), before, 'what is no command leaves nothing in the log')
  await refused(t, send('create-target', { ...target, targetId, name: 'other' }), 409, 'target-already-exists', {
    what: 'duplicate id',
  })
  await refused(t, send('rename-target', { targetId: systemIds.next(), name: 'a' }), 404, 'target-not-found', {
    what: 'missing target',
  })
  await ok(send('decommission-target', { targetId, reason: 'old' }))
  await refused(t, send('rename-target', { targetId, name: 'a' }), 409, 'target-decommissioned')
  await refused(t, send('rename-target', { targetId, name: 'a' }, { authorization: 'Bearer eve' }), 403, 'forbidden')
  await refused(t, send('rename-target', { targetId, name: 'a' }, { authorization: '' }), 401, 'unauthenticated')
  const pem = `-----BEGIN OPENSSH ${'PRIVATE'} KEY-----`
  const leaky = [{ ...steps[0], with: { command: `echo '${pem}'` } }]
  await refused(t, send('define-job', { name: 'leak', steps: leaky }), 422, 'secret-in-payload')
  const get = await http.inject({ url: '/v1/commands/create-target', headers: { authorization: 'Bearer ann' } })
  t.equal(get.statusCode, 405)
})

t.test('a refusal that is asked for again is told as it was, with every reason', async t => {
  const told = async (definition: object, key: string) => {
    const first = await send('define-job', definition, { 'idempotency-key': key })

    const again = await send('define-job', definition, { 'idempotency-key': key })
    const { correlationId: _, ...one } = first.json()
    const { correlationId: __, ...other } = again.json()
    t.same(other, one)
    return one
  }
  const wrong = steps.map(step => ({ ...step, with: { command: 'echo ${{ params.missing }} ${{ target.nam }}' } }))
  const problem = await told({ name: 'wrong', steps: wrong }, 'two-reasons')
  t.match(problem, { status: 422, type: /invalid-workflow/, detail: /there is no parameter missing/ })
  t.match(problem.errors, [
    { message: /there is no parameter missing/ },
    { message: /target has no nam; did you mean/ },
  ])
  const quoting = `echo \${{ params.x == "-----BEGIN OPENSSH ${'PRIVATE'} KEY-----" }}`
  const secret = await told({ name: 'leak', steps: [{ ...steps[0], with: { command: quoting } }] }, 'quoted')
  t.match(secret, { status: 422, type: /invalid-workflow/, detail: /looks like a secret/ })
  t.notOk('errors' in secret)
})

const bulk = (lines: string, headers: Record<string, string> = {}) =>
  http.inject({
    method: 'POST',
    url: '/v1/commands',
    headers: { authorization: 'Bearer ann', 'content-type': 'application/x-ndjson', ...headers },
    payload: lines,
  })
const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

/** What the log tells of refused commands, by the correlation id of the request. */
async function toldOf(correlationId: string, type: AnyEvent['type'] = 'CommandRejected') {
  const found: Recorded[] = []
  const stop = new AbortController()
  for await (const { events, caughtUp } of store.follow({
    categories: ['command'],
    after: undefined,
    signal: stop.signal,
  })) {
    found.push(...events.filter(e => e.type === type && e.metadata.$correlationId === correlationId))
    if (caughtUp) stop.abort()
  }
  return found
}

t.test('a refused command is history, whoever sent it and however', async t => {
  const jobId = await create('define-job', { name: 'uptime', steps })
  await ok(send('disable-job', { jobId, reason: 'review' }))
  const missing = systemIds.next()
  const cases: Array<[string, object, Record<string, string>, object]> = [
    ['publish-job-version', { jobId: missing, steps }, {}, { code: 'job-not-found', stream: `job-${missing}` }],
    ['trigger-run', { jobId }, {}, { code: 'job-disabled', detail: /./ }],
    ['enable-job', { jobId }, { 'if-match': '"7"' }, { code: 'precondition-failed', stream: `job-${jobId}` }],
    ['disable-job', { jobId, reason: 'x' }, { authorization: 'Bearer eve' }, { code: 'forbidden' }],
    // A header that does not fit changes nothing about who was turned away.
    ['enable-job', { jobId }, { authorization: 'Bearer eve', 'if-match': 'x' }, { code: 'forbidden' }],
    ['trigger-run', { jobId: missing }, { 'idempotency-key': 'refused' }, { code: 'job-not-found' }],
    ['trigger-run', { jobId }, { 'idempotency-key': 'refused' }, { code: 'idempotency-key-reused' }],
  ]
  for (const [command, data, headers, told] of cases) {
    const correlationId = systemIds.next()
    const answer = await send(command, data, { ...headers, 'x-correlation-id': correlationId })
    t.ok(answer.statusCode >= 400, command)
    const id = headers.authorization === undefined ? 'ann' : 'eve'
    const metadata = { command, actor: { kind: 'api-key', id }, origin: { ip: '127.0.0.1' } }
    t.match(await toldOf(correlationId), [{ data: { command, ...told }, metadata, revision: BigInt }], command)
  }
  const correlationId = systemIds.next()
  const headers = { authorization: 'Bearer eve', 'x-correlation-id': correlationId }
  t.equal((await bulk('{}', headers)).statusCode, 403)
  t.match(await toldOf(correlationId), [{ data: { command: 'send-commands', code: 'forbidden' } }])
  const malformed = systemIds.next()
  await send('trigger-run', { jobId, surprise: 1 }, { 'x-correlation-id': malformed })
  await send('trigger-run', { jobId }, { 'x-correlation-id': malformed, authorization: '' })
  t.same(await toldOf(malformed), [], 'what is no command, and what nobody sent, is none')
})

t.test('a line of many that its sender may not send is history too', async t => {
  const targetId = await create('create-target', target)
  const line = JSON.stringify({ command: 'rename-target', data: { targetId, name: 'a' } })
  const correlationId = systemIds.next()
  const headers = { authorization: 'Bearer mallory', 'x-correlation-id': correlationId }
  t.match(linesOf((await bulk(line, headers)).body), [{ status: 403, problem: { type: /forbidden/ } }])
  t.match(await toldOf(correlationId), [{ data: { command: 'rename-target', code: 'forbidden' } }])
  t.same(await typesOf(`target-${targetId}`), ['TargetRegistered'])
})

t.test('a flood of refusals is counted, and the count is history', async t => {
  const correlationId = systemIds.next()
  const headers = { authorization: 'Bearer flood', 'x-correlation-id': correlationId }
  const flood = Array.from({ length: 80 }, () => send('enable-job', { jobId: systemIds.next() }, headers))
  for (const answer of await Promise.all(flood)) t.equal(answer.statusCode, 404)
  const singly = (await toldOf(correlationId)).length
  t.ok(singly >= 30 && singly < 50, `${singly} of 80 told singly`)
  await api.refusals.flush()
  const counts = await toldOf(correlationId, 'CommandRefusalsCounted')
  const count = 80 - singly
  t.match(counts, [{ data: { count, codes: { 'job-not-found': count } }, metadata: { actor: { id: 'flood' } } }])
  await api.refusals.flush()
  t.equal((await toldOf(correlationId, 'CommandRefusalsCounted')).length, 1)
  const other = systemIds.next()
  await send('enable-job', { jobId: systemIds.next() }, { 'x-correlation-id': other })
  t.equal((await toldOf(other)).length, 1, 'another principal is heard as before')
})

t.test('a refusal that cannot be recorded is still the answer, and is counted', async t => {
  let broken = true
  const failing: EventStore = {
    ...store,
    append: async (stream, events, expected) => {
      if (broken && stream.startsWith('command-')) throw new Error('no more room')
      return store.append(stream, events, expected)
    },
  }
  const other = await commandApi(t, { store: failing, vault, summaryAfterMs: 20 })
  const correlationId = systemIds.next()
  const headers = { 'x-correlation-id': correlationId }
  await refused(t, other.send('enable-job', { jobId: systemIds.next() }, headers), 404, 'job-not-found')
  broken = false
  await refused(t, other.send('enable-job', { jobId: systemIds.next() }, headers), 404, 'job-not-found')
  await until('the count is told', async () => (await toldOf(correlationId, 'CommandRefusalsCounted')).length === 1)
  t.equal((await toldOf(correlationId)).length, 1)
})

t.test('many commands at once are answered in order, one a line', async t => {
  const targetId = systemIds.next()
  const line = (command: string, data: object, more = {}) => JSON.stringify({ command, data, ...more })
  const answer = await bulk(
    [
      line('create-target', { ...target, targetId }),
      line('rename-target', { targetId, name: 'a' }),
      line('rename-target', { targetId, name: 'b' }),
      '',
      line('creat-target', target),
      '{"command":',
      line('rename-target', { targetId }),
      line('create-target', target, { idempotencyKey: 'bulk-1' }),
      line('create-target', target, { surprise: 1 }),
    ].join('\r\n'),
  )
  t.equal(answer.statusCode, 200)
  t.match(answer.headers['content-type'], /^application\/x-ndjson/)
  t.match(linesOf(answer.body), [
    { line: 1, status: 201, answer: { revision: '0' } },
    { line: 2, status: 200, answer: { revision: '1' } },
    { line: 3, status: 200, answer: { revision: '2' } },
    { line: 4, status: 404, problem: { detail: 'Did you mean create-target?' } },
    { line: 5, status: 400, problem: { type: /invalid-json/ } },
    { line: 6, status: 400, problem: { errors: [{ path: 'name' }] } },
    { line: 7, status: 201 },
    { line: 8, status: 400 },
  ])
  const [first] = linesOf((await bulk(line('create-target', target, { idempotencyKey: 'bulk-1' }))).body)
  t.same(first.answer, linesOf(answer.body)[6].answer, 'keys count here too')
  t.match(linesOf((await bulk(line('create-target', target), { authorization: 'Bearer eve' })).body), [{ status: 403 }])
})

t.test('bulk is bounded', async t => {
  const data = { name: 'a' }
  const thousand = Array.from({ length: 1002 }, () => JSON.stringify({ command: 'nothing', data })).join('\n')
  const answers = linesOf((await bulk(thousand)).body)
  t.equal(answers.length, 1001)
  t.match(answers.at(-1), { line: 1001, status: 413 })
  const long = JSON.stringify({ command: 'create-target', data: { name: 'x'.repeat(1_100_000) } })
  t.match(linesOf((await bulk(`${long}\n${JSON.stringify({ command: 'nothing', data })}`)).body), [
    { line: 1, status: 413 },
    { line: 2, status: 404 },
  ])
})

t.test('the catalogue reads a long log once', async t => {
  const { catalogue } = await commandApi(t, { store, vault })
  await Promise.all([catalogue.current(), catalogue.current(), catalogue.current()])
  t.ok(catalogue.live)
})
