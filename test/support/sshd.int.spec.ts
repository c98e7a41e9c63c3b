import { execFileSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { programOrSkip } from './packages.ts'
import { isAlive } from './process-tree.ts'
import { type Sshd, startSshd } from './sshd.ts'

const over = (sshd: Sshd, host: string, command: string) =>
  execFileSync('ssh', [
    ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
    ...['-i', sshd.privateKeyFile, '-p', String(sshd.port), `${sshd.username}@${host}`, command],
  ]).toString()

t.test('a real OpenSSH server on several loopback addresses', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const addresses = Array.from({ length: 20 }, (_, i) => `127.0.7.${i + 1}`)
  const sshd = await startSshd(t, { addresses })
  const run = (host: string) => over(sshd, host, 'echo ok')
  t.equal(run('127.0.7.1'), 'ok\n')
  t.equal(run('127.0.7.20'), 'ok\n')
  t.match(sshd.log(), /Accepted publickey/)
  const before = sshd.hostKey
  t.match(before, /^ssh-ed25519 [A-Za-z0-9+/=]+$/)
  await sshd.restart({ newHostKeys: true })
  t.not(sshd.hostKey, before)
  t.equal(run('127.0.7.1'), 'ok\n')
})

t.test('nothing that was run over it outlives it', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  let end = async () => {}
  const sshd = await startSshd({ teardown: handler => (end = handler) })
  const left = Number(over(sshd, sshd.host, 'setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $!'))
  t.ok(isAlive(left))
  await end()
  // It was told to end; if it does not, the spec runs out of time.
  while (isAlive(left)) await delay(5)
  t.pass('it has ended')
})
