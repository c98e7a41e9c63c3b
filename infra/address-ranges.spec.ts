import t from 'tap'
import { addressKey, addressRanges, isAddressRange, openBits, plainAddress } from './address-ranges.ts'

t.test('ranges hold what is in them, however it is written', async t => {
  const ranges = addressRanges(['10.0.0.0/8', '192.168.1.1', 'fd00::/8'])
  for (const inside of ['10.255.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', '192.168.1.1', 'fd00::1', 'FD12:0::1']) {
    t.ok(ranges.holds(inside), inside)
  }
  for (const outside of ['11.0.0.1', '192.168.1.2', 'fe80::1', '', 'unknown', '10.0.0.1:80', '10.0.0.1, 10.0.0.2']) {
    t.notOk(ranges.holds(outside), outside)
  }
  t.throws(() => addressRanges(['10.0.0.0/33']), RangeError)
  t.same(['10.0.0.0/8', '::', '10.0.0.0/', 'fe80::1%lo', 'host', '*'].map(isAddressRange), [
    ...[true, true],
    ...[false, false, false, false],
  ])
  t.same(['0.0.0.0/0', '10.0.0.1', '::/0', 'nonsense'].map(openBits), [32, 0, 128, 0])
})

t.test('who changes within a /64 counts as one', async t => {
  t.equal(addressKey('2001:db8:1:2:3:4:5:6'), addressKey('2001:db8:1:2::ffff'))
  t.not(addressKey('2001:db8:1:2::1'), addressKey('2001:db8:1:3::1'))
  t.equal(addressKey('::ffff:198.51.100.7'), '198.51.100.7')
  t.equal(plainAddress('2001:db8::1'), '2001:db8::1')
})
