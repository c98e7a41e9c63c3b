import { createHmac } from 'node:crypto'
import { pino } from 'pino'
import t from 'tap'
import { createPool, migrate } from '../../infra/postgres.ts'
import { freshDatabase } from '../../test/support/postgres.ts'
import { migrations } from '../migrations.ts'
import type { OwnKeys } from '../own-keys.ts'
import { keepBegun, takeBegun } from './begun.ts'

const log = pino({ level: 'silent' })
const pool = createPool((await freshDatabase(t)).url, log, { max: 10 })
t.teardown(() => pool.end())
await migrate(pool, log, migrations)
const keyed = (secret: string) => ({
  fingerprint: (what: string, of: Uint8Array) => createHmac('sha256', secret).update(what).update(of).digest('hex'),
})
// Nothing but the keyed digest is asked of it here.
const own = keyed('of the vault') as OwnKeys
const at = (minutes: number) => new Date(Date.UTC(2030, 0, 1, 12, 0, 0) + minutes * 60_000).toISOString()
const issuer = 'https://id.example.org'
const kept = { verifier: 'v'.repeat(43), nonce: 'n', redirectUrl: 'https://app.example.org/signed-in' }
const keep = (state: string) => keepBegun({ own }, { issuer, state, kept }, at(0)).begun
const take = (state: string, begun: string, minutes = 1, change: object = {}) =>
  takeBegun({ pool, own, ...change }, { issuer, state, begun }, at(minutes))
const remembered = async () => (await pool.query('select 1 from vault.begun_taken')).rowCount

t.test('what was begun comes back once, however often it is asked for at the same moment', async t => {
  const begun = keep('one')
  const answers = await Promise.all(Array.from({ length: 20 }, () => take('one', begun)))
  const taken = answers.filter(({ outcome }) => outcome === 'taken')
  t.same(taken, [{ outcome: 'taken', kept }])
  t.same(await take('one', begun), { outcome: 'refused', why: 'taken' })
  t.notMatch(Buffer.from(begun.split('_')[2] ?? '', 'base64url').toString('latin1'), 'vvv')
  t.not(keep('one'), keep('one'))
})

t.test('only as it was begun, and with the keys of this vault', async t => {
  const begun = keep('two')
  const unknown = { outcome: 'refused', why: 'unknown' }
  t.same(await take('another', begun), unknown)
  t.same(await takeBegun({ pool, own }, { issuer: `${issuer}/`, state: 'two', begun }, at(1)), unknown)
  t.same(await take('two', begun, 1, { own: keyed('of another vault') }), unknown)
  t.same(
    await take(
      'two',
      begun.replace(/^opsb_./, one => (one === 'opsb_0' ? 'opsb_1' : 'opsb_0')),
    ),
    unknown,
  )
  for (const odd of ['', 'opsb_', begun.slice(5), `${begun}=`, begun.slice(0, 50)])
    t.same(await take('two', odd), unknown, odd)
  t.match(await take('two', begun), { outcome: 'taken' }, 'none of that used it up')
})

t.test('ten minutes long; what was taken is forgotten when it could not come back any more', async t => {
  t.same(await take('three', keep('three'), 10), { outcome: 'refused', why: 'expired' })
  const begun = keep('four')
  t.match(await take('four', begun, 9.99), { outcome: 'taken' })
  t.equal(await remembered(), 3, 'one of each spec above')
  await take('five', keep('five'), 9)
  t.same(await take('four', begun, 9), { outcome: 'refused', why: 'taken' }, 'also by a clock that is behind')
  const later = keepBegun({ own }, { issuer, state: 'six', kept }, at(15)).begun
  t.match(await take('six', later, 15), { outcome: 'taken' })
  t.equal(await remembered(), 1)
})

t.test('of too many none is forgotten to let in more', async t => {
  const begun = keep('seven')
  t.same(await take('seven', begun, 1, { mostTaken: 1 }), { outcome: 'refused', why: 'too-many' })
  t.match(await take('seven', begun), { outcome: 'taken' }, 'but it may come again')
})
