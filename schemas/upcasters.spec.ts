import t from 'tap'
import { currentVersion, type Upcaster, upcast } from './upcasters.ts'

const table: Record<string, Upcaster[]> = {
  TargetRegistered: [d => ({ ...d, port: 22 }), d => ({ ...d, platform: d.port === 22 ? 'linux' : 'windows' })],
}

t.test('an old payload is lifted version by version', async t => {
  t.same(upcast('TargetRegistered', 1, { name: 'a' }, table), { name: 'a', port: 22, platform: 'linux' })
  t.same(upcast('TargetRegistered', 2, { name: 'a', port: 5986 }, table), {
    name: 'a',
    port: 5986,
    platform: 'windows',
  })
})
t.test('the newest version is left as it is', async t =>
  t.same(upcast('TargetRegistered', 3, { name: 'a' }, table), { name: 'a' }),
)
t.test('a version from the future is refused', async t =>
  t.throws(() => upcast('TargetRegistered', 4, {}, table), RangeError),
)
t.test('new events carry the newest version', async t => {
  t.equal(currentVersion('TargetRegistered', table), 3)
  t.equal(currentVersion('JobDefined'), 1)
})
