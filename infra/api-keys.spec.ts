import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { said } from '../test/support/cli.ts'
import { apiKeyCheck, apiKeyId, createApiKey, hasApiKeys, listApiKeys, removeApiKey } from './api-keys.ts'
import { systemClock } from './clock.ts'
import { adminKey } from './operator/admin-key.ts'

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
  const check = apiKeyCheck(file, { now: () => now, monotonic: () => 0 })
  t.match(check(key), { id: apiKeyId(key), label: 'first administrator' })
  t.equal(check(`${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`), undefined)
  t.equal(check('opsc_'), undefined)
})

t.test('a new key is known at once, an expired one refused at once, a removed one soon', async t => {
  let time = now
  let monotonic = 0
  const check = apiKeyCheck(file, { now: () => time, monotonic: () => monotonic })
  const brief = createApiKey(file, 'demo', { now, ttlSeconds: 60 })
  const asked = check(brief)
  t.equal(asked?.stillValid(), true)
  time = '2030-01-01T00:01:00.000Z'
  t.notOk(check(brief), 'expired')
  t.equal(asked?.stillValid(), false, 'also for who came in before')
  const other = createApiKey(file, 'other', { now })
  const open = check(other)
  t.ok(open)
  t.match(listApiKeys(file).at(-1), { id: apiKeyId(other), label: 'other' })
  t.notMatch(JSON.stringify(listApiKeys(file)), /sha256/)
  t.ok(removeApiKey(file, apiKeyId(other) ?? ''))
  monotonic = 99
  t.ok(check(other), 'not looked at again yet')
  monotonic = 100
  t.equal(open?.stillValid(), false, 'removed')
  t.notOk(check(other))
  t.notOk(removeApiKey(file, 'nobody'))
})

t.test('whoever owns the key file makes, lists and removes keys', async t => {
  const before = process.env.OPSCONDUCTOR_API_KEYS_FILE
  const own = join(dir, 'operator', 'api-keys.json')
  process.env.OPSCONDUCTOR_API_KEYS_FILE = own
  t.teardown(() => {
    if (before === undefined) delete process.env.OPSCONDUCTOR_API_KEYS_FILE
    else process.env.OPSCONDUCTOR_API_KEYS_FILE = before
  })
  const run = (...argv: string[]) => said(() => adminKey(argv))
  let looks = 0
  const check = apiKeyCheck(own, { ...systemClock, monotonic: () => (looks += 100) })
  const plain = await run('create')
  t.match(plain, { code: 0, out: /^opsc_[\w-]+\n$/, err: '' })
  t.match(check(plain.out.trim()), { label: 'administrator' })
  const brief = JSON.parse((await run('create', '--label', 'for a day', '--ttl', '86400', '--json')).out)
  t.match(check(brief.key), { id: brief.id, label: 'for a day' })
  const { code, out } = await run('list')
  t.equal(code, 0)
  const id = apiKeyId(plain.out.trim())
  t.match(
    out,
    new RegExp(`^${id} {2}\\S+Z {2}no expiry {2}administrator\n${brief.id} {2}\\S+ {2}until \\S+Z {2}for a day\n$`),
  )
  t.notOk(out.includes(brief.key) || out.includes(plain.out.trim()), 'a key is shown once')
  t.match(await run('remove', brief.id), { code: 0, out: '', err: '' })
  t.equal(check(brief.key), undefined)
  t.match(await run('remove', brief.id), { code: 4, err: /there is no key \w+; see opsconductor admin-key list/ })
  for (const ttl of ['0', '-1', 'soon', '1.5'])
    t.match(await run('create', `--ttl=${ttl}`), { code: 2, out: '', err: '--ttl takes a number of seconds\n' }, ttl)
  for (const wrong of [[], ['remove'], ['rename', 'x']])
    t.match(await run(...wrong), { code: 2, out: '', err: /admin-key create \[--label <text>\]/ }, wrong.join(' '))
  t.equal(listApiKeys(own).length, 1, 'and nothing else was made')
})
