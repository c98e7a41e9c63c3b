import { execFileSync } from 'node:child_process'
import t from 'tap'
import { programOrSkip } from './packages.ts'
import { startSshd } from './sshd.ts'

t.test('a real OpenSSH server on several loopback addresses', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const addresses = Array.from({ length: 20 }, (_, i) => `127.0.7.${i + 1}`)
  const sshd = await startSshd(t, { addresses })
  const run = (host: string) =>
    execFileSync('ssh', [
      ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
      ...['-i', sshd.privateKeyFile, '-p', String(sshd.port), `${sshd.username}@${host}`, 'echo ok'],
    ]).toString()
  t.equal(run('127.0.7.1'), 'ok\n')
  t.equal(run('127.0.7.20'), 'ok\n')
  t.match(sshd.log(), /Accepted publickey/)
  const before = sshd.hostKey
  t.match(before, /^ssh-ed25519 [A-Za-z0-9+/=]+$/)
  await sshd.restart({ newHostKeys: true })
  t.not(sshd.hostKey, before)
  t.equal(run('127.0.7.1'), 'ok\n')
})
