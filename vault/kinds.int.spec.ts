import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { kindOf, type SecretMaterial, sshKinds } from '../schemas/credential.ts'
import { streams } from '../schemas/events.ts'
import { startHashicorpVault } from '../test/support/hashicorp-vault.ts'
import { type Ask, vaultBench } from '../test/support/vault.ts'

const bench = await vaultBench(t)
const elsewhere = await startHashicorpVault(t)
const anna = bench.identity('anna')
await bench.startVault({
  OPSCONDUCTOR_HASHICORP_VAULT_URL: elsewhere.url,
  OPSCONDUCTOR_HASHICORP_VAULT_TOKEN: elsewhere.token,
  OPSCONDUCTOR_VAULT_EGRESS_ALLOW: '127.0.0.1',
})

/** Claimed to log in with where that can be done, else for a step that runs. */
async function claimed(secret: SecretMaterial, own: { expiresAt?: string } = {}, forStep = !isLogin(secret)) {
  const credentialId = randomUUID()
  await bench.append(streams.credential(credentialId), {
    type: 'CredentialCreated',
    data: { credentialId, name: 'spec', username: 'deploy', kind: 'generic' },
  })
  const sealed = await bench.addVersion(credentialId, 1, secret, own)
  const login: Ask = { runId: randomUUID(), n: 3, epoch: 2, executorId: 'anna', credentialId, version: 1 }
  if (!forStep) {
    await bench.claim(login, anna)
    return { of: login, sealed }
  }
  const of: Ask = { ...login, stepId: 'read' }
  const { runId, n, epoch, version } = of
  await bench.claim(of, anna, null, [{ stepId: 'read', credentialId, version }])
  const at = '2030-01-01T00:00:00.000Z'
  const started = { runId, n, epoch, stepId: 'read', attempt: 1, at }
  await bench.append(streams.targetRun(runId, n), { type: 'StepStarted', data: started })
  return { of, sealed }
}

const isLogin = (secret: SecretMaterial) => sshKinds.has(kindOf(secret))

t.test('what cannot be used for it is not released', async t => {
  const misused = [
    await claimed({ kind: 'api-token', token: 'ghp_0123456789' }, {}, false),
    await claimed({ kind: 'windows-password', password: 'x' }, {}, false),
    await claimed({ kind: 'external', of: 'generic', path: 'vault:secret/data/x#y' }, {}, false),
    await claimed({ kind: 'ssh-certificate', validSeconds: 120 }, {}, true),
  ]
  for (const { of } of misused) {
    const { error, detail, secret } = await bench.ask(of, anna)
    t.match({ error, detail }, { error: 'credential-unfit', detail: /of a kind that cannot be used for this/ })
    t.equal(secret, undefined)
    t.match(await bench.released(of), [{ type: 'CredentialReleaseDenied', data: { code: 'credential-unfit' } }])
  }
})

t.test('every kind of secret comes out as it went in', async t => {
  const secrets: SecretMaterial[] = [
    { kind: 'windows-password', password: 'Päßwort 1' },
    { kind: 'api-token', token: 'ghp_0123456789' },
    { kind: 'generic', value: '{"a":\n"b"}' },
  ]
  for (const secret of secrets) {
    const { of, sealed } = await claimed(secret)
    t.same((await bench.ask(of, anna)).secret, secret)
    t.notOk('publicKey' in sealed || 'expiresAt' in sealed || 'external' in sealed)
  }
})

t.test('a client certificate says itself when it ends', async t => {
  const [crt, key] = [join(bench.dir, 'crt'), join(bench.dir, 'key')]
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  execFileSync('openssl', [...args, '-subj', '/CN=client', '-keyout', key, '-out', crt], { stdio: 'pipe' })
  const read = (file: string) => execFileSync('cat', [file]).toString()
  const secret = { kind: 'client-certificate' as const, certificate: read(crt), privateKey: read(key) }
  const { of, sealed } = await claimed(secret)
  t.same((await bench.ask(of, anna)).secret, secret)
  t.ok(Date.parse(sealed.expiresAt ?? '') > Date.now())
})

t.test('an authority makes a certificate for each login, and its key never comes out', async t => {
  const { of, sealed } = await claimed({ kind: 'ssh-certificate', validSeconds: 120 })
  t.match(sealed.publicKey, /^ssh-ed25519 AAAA[A-Za-z0-9+/]+$/)
  const [first, second] = [await bench.ask(of, anna), await bench.ask(of, anna)]
  t.strictSame(Object.keys(first.secret).sort(), ['certificate', 'kind', 'privateKey'])
  t.not(first.secret.privateKey, second.secret.privateKey, 'each its own')
  const file = join(bench.dir, 'made-cert.pub')
  writeFileSync(file, `ssh-ed25519-cert-v01@openssh.com ${first.secret.certificate}\n`)
  const shown = execFileSync('ssh-keygen', ['-L', '-f', file]).toString()
  const keyId = `opsconductor run=${of.runId}.3 epoch=2 executor=anna`
  t.match(shown, `Key ID: "${keyId}"`, 'it names run and executor')
  t.match(shown, /Principals:\s+deploy\s/)
  const told = (await bench.released(of)).map(({ data }) => data)
  t.match(told, [{ certificate: { keyId, principals: ['deploy'] } }, { certificate: { keyId } }])
  const serials = told.map(data =>
    'executorId' in data && 'certificate' in data ? data.certificate?.serial : undefined,
  )
  t.match(shown, `Serial: ${serials[0]}`, 'and the log names its serial')
  t.not(serials[0], serials[1])

  const secret = { kind: 'ssh-certificate' as const, validSeconds: 300 }
  const credentialId = randomUUID()
  const one = await bench.seal(credentialId, 1, secret)
  t.same(await bench.seal(credentialId, 1, secret), one, 'a repeated request finds the key that was made')
  const together = await Promise.all([1, 2, 3].map(() => bench.seal(credentialId, 2, secret)))
  t.same(new Set(together.map(({ publicKey }) => publicKey)).size, 1, 'and so do those that come together')
  t.not(together[0]?.publicKey, one.publicKey, 'a new version has a new key')
  t.not(together[0]?.fingerprint, one.fingerprint)
})

t.test('a reference is followed when it is released, and nothing of it is kept', async t => {
  const reference = { kind: 'external' as const, of: 'password' as const, path: 'vault:secret/data/team/db#password' }
  const { of, sealed } = await claimed(reference)
  t.equal(sealed.external, reference.path)
  const denied = async (detail: RegExp) => {
    const { error, detail: told, secret } = await bench.ask(of, anna)
    t.equal(error, 'external-unusable')
    t.match(told, detail)
    t.equal(secret, undefined)
    t.match((await bench.released(of)).at(-1), { type: 'CredentialReleaseDenied', data: { code: 'external-unusable' } })
  }
  await denied(/has nothing at secret\/data\/team\/db/)
  elsewhere.put('secret/data/team/db', { password: 'of today', port: 5432 })
  t.same((await bench.ask(of, anna)).secret, { kind: 'password', password: 'of today' })
  elsewhere.put('secret/data/team/db', { password: 'of tomorrow' })
  t.same((await bench.ask(of, anna)).secret, { kind: 'password', password: 'of tomorrow' }, 'rotated there')
  elsewhere.put('secret/data/team/db', { user: 'deploy' })
  await denied(/no text in the field password/)
  elsewhere.put('secret/data/team/db', { password: 'a\0b' })
  await denied(/cannot be used as password: the password holds a NUL/)
  const before = (await bench.released(of)).length
  elsewhere.state.sealed = true
  t.match(await bench.ask(of, anna), { error: 'unavailable' }, 'to be asked again')
  t.equal((await bench.released(of)).length, before, 'and nothing is said to be released')
  elsewhere.state.sealed = false
  elsewhere.state.token = 'another'
  await denied(/does not let us read/)
  elsewhere.state.token = elsewhere.token
  t.equal(elsewhere.seen.filter(({ method }) => method !== 'GET').length, 0, 'it only ever reads')
})

t.test('what has expired is not released', async t => {
  const past = await claimed({ kind: 'generic', value: 'old' }, { expiresAt: '2020-01-01T00:00:00.000Z' })
  t.match(await bench.ask(past.of, anna), { error: 'expired', detail: 'the credential has expired' })
  t.match((await bench.released(past.of)).at(-1), { type: 'CredentialReleaseDenied', data: { code: 'expired' } })
  const future = await claimed({ kind: 'generic', value: 'new' }, { expiresAt: '2999-01-01T00:00:00.000Z' })
  t.match((await bench.ask(future.of, anna)).secret, { value: 'new' })
})

// The parts started above keep the process alive: say that this was all.
t.end()
