import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { apiKeyCheck, apiKeyId, createApiKey, hasApiKeys, listApiKeys, removeApiKey } from './api-keys.ts'

const now = '2030-01-01T00:00:00.000Z'
const dir = mkdtempSync(join(tmpdir(), 'opsc-keys-'))
t.teardown(() => rmSync(dir, { recursive: true }))
const file = join(dir, 'deep', 'api-keys.json')

t.test('a key is shown once and stored as a hash only', async t => {
  t.equal(hasApiKeys(file), false)
  const key = createApiKey(file, 'first administrator', { now })
  t.match(key, /^opsc_[0-9a-f]{12}_/)
  t.notMatch(readFileSync(file, 'utf8'), key.slice(18))
  t.equal(statSync(file).mode & 0o777, 0o600)
  const check = apiKeyCheck(file, () => now)
  t.match(check(key), { id: apiKeyId(key), label: 'first administrator' })
  t.equal(check(`${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`), undefined)
  t.equal(check('opsc_'), undefined)
})

t.test('a removed or expired key is refused at the next request', async t => {
  let time = now
  const check = apiKeyCheck(file, () => time)
  const brief = createApiKey(file, 'demo', { now, ttlSeconds: 60 })
  t.ok(check(brief))
  time = '2030-01-01T00:01:00.000Z'
  t.notOk(check(brief), 'expired')
  const other = createApiKey(file, 'other', { now })
  t.ok(check(other))
  t.match(listApiKeys(file).at(-1), { id: apiKeyId(other), label: 'other' })
  t.notMatch(JSON.stringify(listApiKeys(file)), /sha256/)
  t.ok(removeApiKey(file, apiKeyId(other) ?? ''))
  t.notOk(check(other), 'removed')
  t.notOk(removeApiKey(file, 'nobody'))
})
