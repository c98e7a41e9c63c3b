import path from 'node:path'
import t from 'tap'
import { besideOf, checkedPath, PathRefused } from './path.ts'

t.test('a path is used as it is meant or not at all', async t => {
  t.equal(checkedPath('/etc//motd'), '/etc/motd')
  t.equal(checkedPath('/etc/./motd'), '/etc/motd')
  t.equal(checkedPath('/a/..b/c..'), '/a/..b/c..')
  for (const bad of ['', 'etc/motd', '/', '/a/', '/a/..', '/../a', '/a/../b', '/a\0', '/a\n', '/a/.', '~/a']) {
    t.throws(() => checkedPath(bad), PathRefused, JSON.stringify(bad))
  }
})

t.test('what lies beside a file lies in its folder, is hidden, and has a name that may be', async t => {
  for (const file of ['/etc/motd', '/motd', `/a/${'n'.repeat(255)}`, `/a/${'ü'.repeat(127)}`]) {
    const beside = besideOf(file)
    t.equal(path.dirname(beside), path.dirname(file))
    t.match(path.basename(beside), /^\.[\x20-\x7e]+\.opsc-[0-9a-f]{16}$/)
    t.ok(Buffer.byteLength(path.basename(beside)) <= 255)
    t.not(besideOf(file), beside)
  }
})
