import fc from 'fast-check'
import t from 'tap'
import { areEgressRules, egressPolicy } from './policy.ts'

const open = egressPolicy([])

t.test('public addresses are open', async t => {
  for (const address of ['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1']) {
    t.ok(open.permits('example.org', address), address)
  }
})

t.test('everything else is closed, however it is written', async t => {
  const closed = [
    ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '100.64.0.1', '127.0.0.1', '127.255.255.255', '169.254.169.254'],
    ...['172.16.0.1', '172.31.255.255', '192.0.0.8', '192.168.1.1', '198.18.0.1', '224.0.0.1', '239.255.255.255'],
    ...['240.0.0.1', '255.255.255.255', '::', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:a9fe:a9fe'],
    ...['0:0:0:0:0:ffff:10.0.0.1', '64:ff9b::a00:1', '64:ff9b::169.254.169.254', '64:ff9b:1::1', 'fe80::1', 'fec0::1'],
    ...['fc00::1', 'fd00:ec2::254', 'ff02::1', '2001:db8::1', '2001::1', '2002:7f00:1::', '100::1', '::127.0.0.1'],
    ...['', 'localhost', '127.1', '0x7f000001', 'fe80::1%eth0'],
  ]
  for (const address of closed) t.notOk(open.permits('example.org', address), address)
})

t.test('mapped and translated addresses are as open as what they stand for', async () => {
  const part = fc.integer({ min: 0, max: 255 })
  fc.assert(
    fc.property(part, part, part, part, (a, b, c, d) => {
      const plain = `${a}.${b}.${c}.${d}`
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
      const wanted = open.permits('x', plain)
      return [`::ffff:${plain}`, `::ffff:${hex}`, `64:ff9b::${hex}`, `0:0:0:0:0:FFFF:${hex}`].every(
        address => open.permits('x', address) === wanted,
      )
    }),
    { numRuns: 500, seed: 1 },
  )
})

t.test('rules open ranges, addresses and names', async t => {
  const policy = egressPolicy(['10.1.0.0/16', '127.0.0.1', 'fd00::/8', 'Build.Internal.'])
  t.ok(policy.permits('10.1.2.3', '10.1.2.3'))
  t.ok(policy.permits('x', '::ffff:10.1.2.3'))
  t.notOk(policy.permits('x', '10.2.0.1'))
  t.ok(policy.permits('localhost', '127.0.0.1'))
  t.notOk(policy.permits('localhost', '127.0.0.2'))
  t.ok(policy.permits('x', 'fd12::1'))
  t.ok(policy.permits('build.internal', '192.168.0.9'))
  t.ok(policy.permits('BUILD.internal.', '::1'))
  t.notOk(policy.permits('notbuild.internal', '192.168.0.9'))
  t.ok(policy.permits('example.org', '8.8.8.8'), 'public ones stay open')
})

t.test('rules that are none are told', async t => {
  t.ok(areEgressRules(['10.0.0.0/8', '::1', 'fe80::/10', 'a-b.c_d.example', 'localhost']))
  for (const bad of [
    '10.0.0.0/33',
    '::/129',
    'http://x',
    'a/b',
    '10.0.0.0/',
    '-a.example',
    'a..b',
    '*',
    'fe80::1%lo/64',
  ]) {
    t.notOk(areEgressRules([bad]), bad)
    t.throws(() => egressPolicy([bad]), RangeError)
  }
})
