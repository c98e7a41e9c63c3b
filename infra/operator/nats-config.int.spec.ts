import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { programOrSkip } from '../../test/support/packages.ts'

const entry = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))
const make = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', entry, 'nats-config', ...args])
  return { status, text: stdout.toString(), error: stderr.toString() }
}
const passwordsOf = (file: string) => readFileSync(file, 'utf8')

t.test('each executor has a user of its own, its password in a file of its own', async t => {
  const folder = t.testdir()
  const passwords = join(folder, 'passwords.conf')
  const made = make('--executor', 'east-1', '--executor', 'west-1', '--passwords', passwords)
  t.equal(made.status, 0, made.error)
  t.match(made.text, /^include "passwords\.conf"/)
  t.match(made.text, /user: "east-1"\n\s+password: \$password_of_east_1\n/)
  t.match(made.text, /"opsc\.report\.v1\.west-1"/)
  t.equal(statSync(passwords).mode & 0o777, 0o600)
  const lines = passwordsOf(passwords).trim().split('\n')
  t.same(
    lines.map(line => line.split(':')[0]),
    ['api', 'workers', 'vault', 'east_1', 'west_1'].map(name => `password_of_${name}`),
  )
  t.equal(new Set(lines.map(line => line.split('"')[1])).size, 5)
  for (const line of lines) t.notOk(made.text.includes(line.split('"')[1] ?? ''), 'no password in the configuration')

  const more = join(folder, 'more.conf')
  copyFileSync(passwords, more)
  t.match(make('--executor', 'west-1', '--executor', 'north-1', '--passwords', more), { status: 0 })
  const kept = passwordsOf(more).trim().split('\n')
  t.same(kept.slice(0, 4), [...lines.slice(0, 3), lines[4]], 'who is still there keeps its password')
  t.match(kept.slice(4), [/^password_of_north_1: "[\w-]{32}"$/])
  t.equal(statSync(more).mode & 0o777, 0o600)

  const server = programOrSkip(t, 'nats-server')
  if (!server) return
  const config = join(folder, 'nats.conf')
  writeFileSync(config, made.text)
  const check = spawnSync(server, ['--config', config, '-t'])
  t.equal(check.status, 0, check.stderr.toString())
})

t.test('beyond loopback it is encrypted, unless somebody says that something else does that', async t => {
  const east = ['--executor', 'east-1']
  t.match(make(...east, '--listen', '0.0.0.0:4222'), { status: 2, error: /readable/ })
  t.match(make(...east, '--listen', '0.0.0.0:4222', '--tls-cert', 'cert.pem'), { status: 2, error: /go together/ })
  t.match(make(...east, '--listen', '0.0.0.0:4222', '--without-tls'), { status: 0 })
  const tls = make(...east, '--listen', '0.0.0.0:4222', '--tls-cert', 'cert.pem', '--tls-key', 'key.pem')
  t.match(tls.text, /tls \{\n {2}cert_file: "cert\.pem"\n {2}key_file: "key\.pem"/)
})

t.test('what cannot be is said', async t => {
  t.match(make(), { status: 2, error: /at least one executor/ })
  t.match(make('--executor', 'East 1'), { status: 2, error: /not the name of an executor/ })
  t.match(make('--executor', 'vault'), { status: 2, error: /another name/ })
  t.match(make('--frobnicate'), { status: 2, error: /frobnicate/ })
})
