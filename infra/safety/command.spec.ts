import { spawnSync } from 'node:child_process'
import t from 'tap'

const run = (args: string[], input = '') => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['build/opsconductor.js', 'explain-command', ...args],
    {
      input,
      encoding: 'utf8',
      timeout: 30_000,
      // Nothing of a running system, no home, no settings.
      env: { PATH: process.env.PATH ?? '' },
    },
  )
  return { status, stdout, stderr }
}

t.test('the verdict is one JSON object, whatever the decision', async t => {
  for (const [command, decision] of [
    ['rm -rf /', 'deny'],
    ['reboot', 'confirm'],
    ['ls', 'allow'],
  ] as const) {
    const { status, stdout } = run(['--shell', 'posix', '-o', 'json', '--', command])
    t.equal(status, 0)
    const verdict: Record<string, unknown> = JSON.parse(stdout)
    t.strictSame(Object.keys(verdict), ['decision', 'rule', 'reason', 'facts'])
    t.equal(verdict.decision, decision)
  }
})

t.test('every shell is judged by its own rules of reading', async t => {
  const deny = /"decision":"deny"/
  t.match(run(['--shell', 'powershell', '--', 'ri C:\\Windows -r']).stdout, deny)
  t.match(run(['--shell', 'cmd', '--', 'rd /s /q C:\\']).stdout, deny)
})

t.test('words after -- are joined, and - reads the command from the input', async t => {
  t.match(run(['--shell', 'posix', '--', 'rm', '-rf', '/etc']).stdout, /"decision":"deny"/)
  t.match(run(['--shell', 'posix', '-'], 'cd /\nrm -rf *\n').stdout, /"decision":"deny"/)
})

t.test('environment and targets make it stricter', async t => {
  t.match(
    run(['--shell', 'posix', '--environment', 'production', '--targets', '500', '--', 'reboot']).stdout,
    /"decision":"deny"/,
  )
})

t.test('a table for people', async t => {
  const { stdout } = run(['--shell', 'posix', '-o', 'table', '--', 'sudo rm -rf /'])
  t.match(stdout, /^deny {2}delete-system-root\n.*\n {2}sudo rm \(delete\) \/ \[root\]\n$/)
})

t.test('help and mistakes', async t => {
  t.match(run(['--help']), { status: 0, stdout: /Exit codes/ })
  for (const args of [
    [],
    ['--shell', 'fish', '--', 'ls'],
    ['--shell', 'posix'],
    ['--shell', 'posix', '--targets', 'x', '--', 'ls'],
    ['--shell', 'posix', '-o', 'xml', '--', 'ls'],
    ['--nonsense'],
  ])
    t.match(run(args), { status: 2, stdout: /^$/, stderr: /opsconductor explain-command/ }, args.join(' '))
})
