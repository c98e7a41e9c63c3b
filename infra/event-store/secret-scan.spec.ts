import t from 'tap'
import { looksLikeSecret } from './secret-scan.ts'

t.test('what must not enter the log', async t => {
  const secrets = [
    `-----BEGIN OPENSSH ${'PRIVATE'} KEY-----`,
    `-----BEGIN ${'PRIVATE'} KEY-----`,
    `opsc_${'0123456789ab'}_${'x'.repeat(43)}`,
    `AKIA${'ABCDEFGHIJKLMNOP'}`,
    `ghp_${'a'.repeat(36)}`,
    `git clone https://bot:${'s3cr3tpass'}@git.example.org/x`,
    `eyJ${'hbGciOiJIUzI1'}.eyJ${'zdWIiOiIxMjM0'}.${'c2lnbmF0dXJlLXNpZ25hdHVyZQ'}`,
  ]
  for (const text of secrets) t.ok(looksLikeSecret(JSON.stringify({ command: `x ${text} y` })), text)
})

t.test('what may', async t => {
  const fine = [
    'uptime',
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKQ0EJrq7Vb9sVZ1rWkCQpP9y0y0rj0w4E8rM7mD5Jb3',
    '-----BEGIN PUBLIC KEY-----',
    'curl https://example.org:8443/path@v2',
    'https://user@example.org/',
    'postgres://app:${PASSWORD}@db/app',
  ]
  for (const text of fine) t.notOk(looksLikeSecret(JSON.stringify({ command: text })), text)
})

t.test('hostile input costs linear time', async t => {
  const start = performance.now()
  looksLikeSecret(`${'a'.repeat(200_000)}eyJ${'a.eyJ'.repeat(20_000)}://${':'.repeat(200_000)}`)
  t.ok(performance.now() - start < 2_000)
})
