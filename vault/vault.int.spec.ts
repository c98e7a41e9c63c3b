import { generateKeyPairSync, randomUUID } from 'node:crypto'
import t from 'tap'
import { systemClock } from '../infra/clock.ts'
import { AppendOutcomeUnknown } from '../infra/event-store/port.ts'
import { createPool } from '../infra/postgres.ts'
import { type AnyEvent, streams } from '../schemas/events.ts'
import { until } from '../test/support/process.ts'
import { type Ask, vaultBench } from '../test/support/vault.ts'
import { credentialReader } from './credential-status.ts'
import { denialLimit } from './denial-limit.ts'
import { executorReader } from './executor-status.ts'
import { fileKekProvider } from './kek/file.ts'
import { release } from './release.ts'
import { secretStore } from './secret-store.ts'

const bench = await vaultBench(t)
const { store, claim, ask, released, addVersion, seal, sealRaw, append } = bench
const anna = bench.identity('anna')
const bert = bench.identity('bert')
const vault = await bench.startVault()

const password = (text: string) => ({ kind: 'password' as const, password: text })
/** A new credential with one version, and a question for it about a new target run. */
async function newAsk(secret = password('open sesame')): Promise<Ask> {
  const credentialId = randomUUID()
  await addVersion(credentialId, 1, secret)
  return { runId: randomUUID(), n: 3, epoch: 1, executorId: 'anna', credentialId, version: 1 }
}
async function claimedAsk(change: Partial<Ask> = {}): Promise<Ask> {
  const of = { ...(await newAsk()), ...change }
  await claim(of, anna)
  return of
}

t.test('a secret comes out to the executor that holds the claim, once the log knows', async t => {
  const of = await claimedAsk()
  const { secret, request } = await ask(of, anna)
  t.same(secret, password('open sesame'))
  const [event, ...more] = await released(of)
  t.equal(more.length, 0)
  const [claimed] = (await store.read(streams.targetRun(of.runId, of.n))).events
  t.match(event, {
    type: 'CredentialReleased',
    data: { ...of, targetId: claimed?.type === 'TargetRunClaimed' && claimed.data.targetId },
    metadata: {
      actor: { kind: 'executor', id: 'anna' },
      origin: { channel: 'executor' },
      $causationId: claimed?.id,
      $correlationId: claimed?.metadata.$correlationId,
    },
  })

  await bench.sendAsk(request)
  t.equal((await released(of)).length, 1, 'a repeated request is answered again and recorded once')
  await ask(of, anna)
  t.equal((await released(of)).length, 2, 'another key is another release')
  t.ok('ciphertext' in (await bench.sendAsk(request)))
  t.equal((await released(of)).length, 2, 'also when it is not the newest')
})

t.test('an SSH key keeps its passphrase and every byte', async t => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'pässphrase' })
  const key = { kind: 'ssh-key' as const, privateKey: String(pem), passphrase: 'pässphrase' }
  const credentialId = randomUUID()
  await addVersion(credentialId, 1, key)
  const of = { runId: randomUUID(), n: 0, epoch: 1, executorId: 'anna', credentialId, version: 1 }
  await claim(of, anna)
  t.same((await ask(of, anna)).secret, key)
})

t.test('versions live side by side; a new one can be had at once', async t => {
  const of = await newAsk(password('first'))
  await claim(of, anna)
  t.same((await ask(of, anna)).secret, password('first'))
  await addVersion(of.credentialId, 2, password('second'))
  const second = { ...of, runId: randomUUID(), version: 2 }
  await claim(second, anna)
  t.same((await ask(second, anna)).secret, password('second'))
  t.same((await ask(of, anna)).secret, password('first'))
})

t.test('who may not have it is told why, and so is the log', async t => {
  const denied = async (what: string, code: string, of: Ask, executor = anna, change: { signature?: string } = {}) => {
    const answer = await ask(of, executor, change)
    t.equal(answer.error, code, what)
    t.notOk('secret' in answer)
    const last = (await released(of)).at(-1)
    t.match(last, { type: 'CredentialReleaseDenied', data: { ...of, code } }, `${what}: recorded`)
    const proven = { kind: 'executor', id: of.executorId }
    const unproven = ['not-claimed', 'wrong-signature'].includes(code)
    t.same(last?.metadata.actor, unproven ? { kind: 'service', id: 'vault' } : proven, `${what}: nobody wrongly blamed`)
  }

  await denied('no such target run', 'not-claimed', await newAsk())
  const foreign = await claimedAsk()
  await denied('the target run of another executor', 'not-claimed', { ...foreign, executorId: 'bert' }, bert)
  await denied('an epoch that never was', 'not-claimed', { ...foreign, epoch: 7 })

  await denied('in the name of another', 'wrong-signature', foreign, bert)
  const { request } = await ask(foreign, anna)
  await denied('with a signature over another key', 'wrong-signature', foreign, anna, { signature: request.signature })
  await denied('with a signature for another run', 'wrong-signature', await claimedAsk(), anna, {
    signature: request.signature,
  })

  for (const type of ['LeaseExpired', 'TargetRunHandedBack', 'TargetRunCancelled'] as const) {
    const of = await claimedAsk()
    await append(streams.targetRun(of.runId, of.n), ending(type, of))
    await denied(`after ${type}`, 'stale-epoch', of)
  }
  await claim({ ...foreign, epoch: 2, executorId: 'bert' }, bert)
  await denied('after somebody else claimed', 'stale-epoch', foreign)

  const of = await claimedAsk()
  const { credentialId } = await newAsk()
  await denied('another credential', 'not-this-credential', { ...of, credentialId })
  await denied('another version', 'not-this-credential', { ...of, version: 2 })
  const bare = await newAsk()
  await claim(bare, anna, null)
  await denied('a claim without a credential', 'not-this-credential', bare)

  await denied('a version that never was', 'unknown-version', await claimedAsk({ version: 2 }))
  const carl = bench.identity('carl')
  const ofCarl = { ...(await newAsk()), executorId: 'carl' }
  await claim(ofCarl, carl)
  const gone: AnyEvent = { type: 'ExecutorRevoked', data: { executorId: 'carl', reason: 'stolen' } }
  await append(streams.executor('carl'), gone)
  await denied('a revoked executor', 'executor-revoked', ofCarl, carl)
  const ofDora = { ...(await newAsk()), executorId: 'dora' }
  await claim(ofDora, bench.identity('dora'))
  await bench.enrol('dora', bench.identity('dora-again'))
  const dora = bench.identity('dora')
  await denied('with a key that is no longer its own', 'executor-not-enrolled', ofDora, dora)

  const revoked = await claimedAsk()
  await append(streams.credential(revoked.credentialId), {
    type: 'CredentialRevoked',
    data: { credentialId: revoked.credentialId, reason: 'left the company' },
  })
  await denied('a revoked credential', 'revoked', revoked)
})

t.test('what a step reads comes out while that step runs, and the log tells what for', async t => {
  // What is denied to one executor is recorded up to a bound: this one has its own.
  const emil = bench.identity('emil')
  const login = { ...(await newAsk(password('to log in'))), executorId: 'emil' }
  const of = {
    ...login,
    ...(await newAsk(password('for the step'))),
    runId: login.runId,
    executorId: 'emil',
    stepId: 'registry',
  }
  const { credentialId, version } = of
  const tell = (event: AnyEvent) => append(streams.targetRun(of.runId, of.n), event)
  const started = (stepId: string): AnyEvent => {
    const { runId, n, epoch } = of
    return { type: 'StepStarted', data: { runId, n, epoch, stepId, attempt: 1, at: '2030-01-01T00:00:00.000Z' } }
  }
  const denied = async (what: string, code: string, change: Partial<Ask> = {}) => {
    const answer = await ask({ ...of, ...change }, emil)
    t.equal(answer.error, code, what)
    const last = (await released(of)).at(-1)
    t.match(last, { type: 'CredentialReleaseDenied', data: { ...of, ...change, code } }, `${what}: recorded`)
  }
  const secret = { stepId: 'registry', credentialId, version }
  await claim(of, emil, login, [secret, { ...secret, stepId: 'later' }])
  await denied('before it was started', 'step-not-running')
  await tell(started('registry'))
  t.same((await ask(of, emil)).secret, password('for the step'))
  t.match((await released(of)).at(-1), { type: 'CredentialReleased', data: { ...of, stepId: 'registry' } })
  await denied('for a step that is not its turn', 'step-not-running', { stepId: 'later' })
  await denied('for a step that reads none', 'not-this-credential', { stepId: 'other' })
  const { stepId: _, ...asLogin } = of
  t.equal((await ask(asLogin, emil)).error, 'not-this-credential', 'to log in with')
  await denied('the login for a step', 'not-this-credential', { credentialId: login.credentialId })
  t.same((await ask(login, emil)).secret, password('to log in'))
  await addVersion(credentialId, 2, password('newer'))
  await denied('a version that is not in the claim', 'not-this-credential', { version: 2 })
  t.same((await ask(of, emil)).secret, password('for the step'), 'the one of the claim, though it is not the newest')
  const { request } = await ask(of, emil)
  const stripped = await bench.sendAsk({ ...request, stepId: 'later' })
  t.match(stripped, { error: 'wrong-signature' }, 'the signature says what for')
  const { runId, n, epoch } = of
  const digest = { bytes: 0, chunks: 0, sha256: 'ab'.repeat(32), truncated: false }
  const over = { runId, n, epoch, stepId: 'registry', attempt: 1, seq: 1, at: '2030-01-01T00:00:00.000Z' }
  await tell({ type: 'StepSucceeded', data: { ...over, output: digest, exitCode: 0 } })
  await denied('once it is over', 'step-not-running')
  await tell(started('later'))
  await append(streams.credential(credentialId), {
    type: 'CredentialRevoked',
    data: { credentialId, reason: 'leaked' },
  })
  const onceMore = async () => (await ask({ ...of, stepId: 'later' }, emil)).error === 'revoked'
  await until('the revocation is seen', onceMore)
  await denied('once it was revoked', 'revoked', { stepId: 'later' })
})

function ending(type: 'LeaseExpired' | 'TargetRunHandedBack' | 'TargetRunCancelled', { runId, n }: Ask): AnyEvent {
  switch (type) {
    case 'LeaseExpired':
      return { type, data: { runId, n, epoch: 1, executorId: 'anna' } }
    case 'TargetRunHandedBack':
      return { type, data: { runId, n, epoch: 1, seq: 1, detail: 'stopping' } }
    case 'TargetRunCancelled':
      return { type, data: { runId, n, targetId: randomUUID(), detail: 'cancelled' } }
  }
}

t.test('an ephemeral key that would make the answer readable to all is refused', async t => {
  const of = await claimedAsk()
  const lowOrder = Buffer.alloc(32).toString('base64url')
  const { request } = await ask(of, anna, {})
  const before = (await released(of)).length
  const text = `opsconductor release|${of.runId}|${of.n}|${of.epoch}|${of.credentialId}|${of.version}|${lowOrder}`
  const answer = await bench.sendAsk({ ...request, ephemeralKey: lowOrder, signature: anna.sign(text) })
  t.match(answer, { error: 'invalid-key' })
  t.equal((await released(of)).length, before, 'nothing was released')
})

t.test('sealing the same again gives the same answer; another secret for the version another', async t => {
  const credentialId = randomUUID()
  const first = await seal(credentialId, 1, password('one'))
  t.match(first, { fingerprint: /^[0-9a-f]{64}$/, ciphertextDigest: /^[0-9a-f]{64}$/ })
  const reordered = '{"password":"one", "kind":"password"}'
  t.same(await sealRaw({ credentialId, version: 1, kind: 'password' }, reordered), first)
  const atOnce = await Promise.all([1, 2, 3, 4].map(() => seal(credentialId, 2, password('one'))))
  t.equal(new Set(atOnce.map(answer => answer.sealId)).size, 1, 'also when asked at once')
  t.equal(atOnce[0]?.fingerprint, first.fingerprint, 'an unchanged secret shows in the next version')
  const other = await seal(credentialId, 1, password('two'))
  t.not(other.sealId, first.sealId)
  t.not(other.fingerprint, first.fingerprint)
  t.not((await seal(randomUUID(), 1, password('one'))).fingerprint, first.fingerprint, 'but not across credentials')
})

t.test('of two sealings for one version only the one in the log is released', async t => {
  const of = await newAsk(password('in the log'))
  await seal(of.credentialId, 1, password('lost the race'))
  await claim(of, anna)
  t.same((await ask(of, anna)).secret, password('in the log'))
})

t.test('what cannot be sealed is refused without quoting it', async t => {
  const of = { credentialId: randomUUID(), version: 1, kind: 'password' as const }
  const good = JSON.stringify(password('hunter2'))
  const cases: [string, string, string, object?][] = [
    ['to an older key', 'unknown-key', good, { keyId: '0000000000000000' }],
    ['for another version', 'cannot-open', good, { version: 2 }],
    ['for another credential', 'cannot-open', good, { credentialId: randomUUID() }],
    ['changed on the way', 'cannot-open', good, { ciphertext: 'AAAA' }],
    ['not JSON', 'invalid-secret', 'hunter2'],
    ['not UTF-8', 'invalid-secret', '\ud800'],
    ['no secret', 'invalid-secret', '{"kind":"password"}'],
    ['with something beside it', 'invalid-secret', '{"kind":"password","password":"hunter2","x":1}'],
    ['of another kind', 'invalid-secret', good, { kind: 'ssh-key' }],
    ['no key', 'invalid-secret', `{"kind":"ssh-key","privateKey":"${'hunter2'.repeat(9)}"}`, { kind: 'ssh-key' }],
  ]
  for (const [what, code, content, change] of cases) {
    const answer = await sealRaw(of, content, change)
    t.match(answer, { error: code, detail: String }, what)
    t.notMatch(JSON.stringify(answer), 'hunter2')
  }
})

t.test('a flood of wrong questions does not flood the log', async t => {
  const of = { ...(await newAsk()), executorId: 'flooder' }
  await Promise.all(Array.from({ length: 80 }, () => ask(of, anna)))
  const noted = (await released(of)).length
  t.ok(noted >= 1 && noted <= 30, `${noted} of 80 recorded`)
})

t.test('without the log nothing is released', async t => {
  const of = await claimedAsk()
  const { request } = await ask(of, anna)
  const before = (await released(of)).length
  const pool = createPool(bench.databaseUrl, bench.log)
  t.teardown(() => pool.end())
  const kekFile = { dataDir: bench.settings.OPSCONDUCTOR_DATA_DIR }
  const deps = {
    store: { ...store, append: () => Promise.reject(new AppendOutcomeUnknown('the connection broke')) },
    secrets: secretStore(pool),
    keks: fileKekProvider(`${kekFile.dataDir}-keys/kek.json`, kekFile),
    credential: credentialReader(store, systemClock.monotonic),
    executor: executorReader(store, systemClock.monotonic),
    denials: denialLimit(systemClock.monotonic),
    clock: systemClock,
    external: () => Promise.reject(new Error('nothing is elsewhere')),
    log: bench.log,
  }
  await t.rejects(release(deps, request), AppendOutcomeUnknown)
  t.equal((await released(of)).length, before)

  await bench.events.stop()
  t.match(await bench.sendAsk(request), { error: 'unavailable' })
  t.match(await bench.sendAsk({ ...request, epoch: 9 }), { error: 'unavailable' }, 'nor denied')
  await bench.events.restart()
  await t.resolves(store.head())
  t.ok('ciphertext' in (await bench.sendAsk(request)), 'and it comes back by itself')
})

t.test('a restarted vault has the same key and opens what was sealed before', async t => {
  const of = await claimedAsk()
  const key = await bench.publicKey()
  t.same(
    (await vault.role.ready()).map(({ name, ok }) => [name, ok]),
    [
      ['broker', true],
      ['postgres', true],
      ['key-encryption key', true],
    ],
  )
  t.equal(await vault.stop(), true)
  await t.rejects(bench.publicKey(), { name: 'BusNoResponders' })
  await bench.startVault()
  t.same(await bench.publicKey(), key)
  t.same((await ask(of, anna)).secret, password('open sesame'))
})

t.test('two vaults share the work', async t => {
  const second = await bench.startVault()
  const asks = await Promise.all(Array.from({ length: 12 }, () => claimedAsk()))
  const answers = await Promise.all(asks.map(of => ask(of, anna)))
  t.ok(answers.every(({ secret }) => secret?.password === 'open sesame'))
  t.equal((await Promise.all(asks.map(released))).flat().length, 12, 'each asked one vault only')
  t.equal(await second.stop(), true)
})

// The parts started above keep the process alive: say that this was all.
t.end()
