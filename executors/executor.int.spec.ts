import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { command, startExecutor, step } from '../test/support/executor.ts'
import { programOrSkip } from '../test/support/packages.ts'

t.test('what a command did is told', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run, sshd } = await startExecutor(t)

  await t.test('success, with its output and both streams', async t => {
    const of = run([command('echo out; echo err >&2; cat; echo done')])
    const done = await plane.report('succeed-step', of)
    const bytes = Buffer.from('out\nerr\ndone\n')
    t.match(done, { stepId: 'do', attempt: 1, exitCode: 0, output: { bytes: bytes.length, truncated: false } })
    t.equal(plane.text(of), 'out\ndone\n', 'standard input is at its end')
    t.equal(plane.text(of, 'stderr'), 'err\n')
    const sorted = plane.chunks.filter(c => c.runId === of.runId).sort((a, b) => a.seq - b.seq)
    t.same(
      sorted.map(c => c.seq),
      sorted.map((_, i) => i + 1),
      'numbered from 1 without gaps',
    )
    const all = Buffer.concat(sorted.map(c => Buffer.from(c.data, 'base64')))
    t.equal(done.output.sha256, createHash('sha256').update(all).digest('hex'))
    t.equal(done.output.chunks, sorted.length)
    const order = plane.reports.filter(m => m.report.data.runId === of.runId).map(m => m.report.type)
    t.same(order, ['start-step', 'succeed-step'])
  })

  await t.test('the second time the connection is warm and no secret is asked for', async t => {
    const asked = plane.releases.length
    await plane.report('succeed-step', run([command('true')]))
    t.equal(plane.releases.length, asked)
    t.equal(sshd.log().match(/Accepted publickey/g)?.length, 1)
  })

  await t.test('exit codes, signals and commands that are not there', async t => {
    t.match(await plane.report('fail-step', run([command('exit 3')])), { class: 'exit-nonzero', exitCode: 3 })
    const missing = await plane.report('fail-step', run([command('no-such-command-here')]))
    t.match(missing, { class: 'command-not-found', exitCode: 127 })
    const killed = await plane.report('fail-step', run([command('kill -SEGV $$')]))
    t.match(killed, { class: 'killed-by-signal', signal: 'SIGSEGV', exitCode: undefined })
  })

  await t.test('a failed step ends the target run unless it may fail', async t => {
    const steps = [
      command('exit 1', { id: 'may-fail', continueOnError: true }),
      command('exit 2', { id: 'must-not' }),
      command('echo never', { id: 'never' }),
    ]
    const of = run(steps)
    await plane.until(() => plane.reports.filter(m => m.report.data.runId === of.runId).length === 4, 'four reports')
    await plane.report('succeed-step', run([command('true')]))
    const told = plane.reports.filter(m => m.report.data.runId === of.runId).map(m => m.report)
    t.match(told, [
      { type: 'start-step', data: { stepId: 'may-fail' } },
      { type: 'fail-step', data: { stepId: 'may-fail', exitCode: 1 } },
      { type: 'start-step', data: { stepId: 'must-not' } },
      { type: 'fail-step', data: { stepId: 'must-not', exitCode: 2 } },
    ])
    t.equal(told.length, 4)
  })

  await t.test('a script gets its arguments as they are and leaves nothing behind', async t => {
    const odd = ["it's", 'a b', '"$(id)"', '`id`', '\\', '*', '-n', '', 'new\nline', '$HOME', 'ü', ';', '&&']
    const script = 'printf "%s|" "$@"; echo; echo "$0" >&2; ls -l "$0" | cut -c1-10 >&2; cat'
    const withArguments = step('ssh.script', { script, arguments: odd })
    const of = run([withArguments])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), `${odd.join('|')}|\n`)
    const [file, mode] = plane.text(of, 'stderr').split('\n')
    t.equal(mode, '-rwx------')
    const look = run([command(`test -e ${file} && echo there || echo gone; ls -d ${file?.replace(/\/script$/, '')}`)])
    await plane.report('fail-step', look)
    t.match(plane.text(look), /^gone\n/)
  })

  await t.test('a command with odd quoting, a long one, and another interpreter', async t => {
    const of = run([command(`echo 'single' "double" \\$HOME "\`echo sub\`" <<'EOF'\nignored\nEOF\necho "it's"`)])
    await plane.report('succeed-step', of)
    t.equal(plane.text(of), `single double $HOME sub\nit's\n`)
    const long = run([
      command(`echo '${"é'".repeat(10_000).replaceAll("'", '')}' | wc -c; : '${"'\\''".repeat(2000)}'`),
    ])
    await plane.report('succeed-step', long)
    t.equal(plane.text(long).trim(), '20001')
    const withParts = { script: 'echo $BASH_VERSION | cut -d. -f1', interpreter: '/bin/bash' }
    const bash = run([step('ssh.script', withParts)])
    await plane.report('succeed-step', bash)
    t.match(plane.text(bash), /^\d\n$/)
  })

  await t.test('8 MB on stderr, then a flood that is cut as declared', async t => {
    const of = run([command('head -c 8000000 /dev/zero | tr "\\0" e >&2; echo end')])
    const done = await plane.report('succeed-step', of)
    t.equal(done.output.bytes, 8_000_004)
    t.equal(plane.text(of, 'stderr').length, 8_000_000)
    t.equal(plane.text(of), 'end\n')
  })

  await t.test('two commands share a connection at the same time', async t => {
    const logins = sshd.log().match(/Accepted publickey/g)?.length
    const file = path.join(t.testdir(), 'go')
    const first = run([command(`until [ -e ${file} ]; do sleep 0.02; done; echo $PPID`)])
    await plane.report('start-step', first)
    const second = run([command('echo $PPID')])
    await plane.report('succeed-step', second)
    t.equal(plane.reports.filter(m => m.report.data.runId === first.runId).length, 1, 'the first still runs')
    writeFileSync(file, '')
    await plane.report('succeed-step', first)
    t.equal(plane.text(first), plane.text(second), 'both below the same session process')
    t.equal(sshd.log().match(/Accepted publickey/g)?.length, logins)
  })

  await t.test('more at once than one connection carries', async t => {
    const all = Array.from({ length: 24 }, () => run([command('sleep 0.3; echo $PPID')]))
    for (const of of all) await plane.report('succeed-step', of)
    const sessions = new Set(all.map(of => plane.text(of)))
    t.equal(sessions.size, 2, 'two connections with eight channels each, the rest waits')
  })

  await t.test('secrets are masked before they leave', async t => {
    const [, line = ''] = sshd.privateKey.split('\n')
    const encoded = Buffer.from(`x${line}`).toString('base64')
    const of = run([command(`echo '${line}'; echo '${encoded}'`)])
    await plane.report('succeed-step', of)
    t.match(plane.text(of), /^\*{6}\n.{0,4}\*{6}.{0,4}\n$/)
  })
})

t.test('output beyond the cap is cut as declared, in constant memory', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t)
  const of = run([command('yes 0123456789abcdef | head -c 200000000; echo end >&2')])
  const before = process.memoryUsage().rss
  const done = await plane.report('succeed-step', of)
  t.match(done, { exitCode: 0, output: { bytes: 64 * 1024 * 1024, truncated: true } })
  const chunks = plane.chunks.filter(c => c.runId === of.runId)
  t.equal(chunks.length, done.output.chunks)
  t.equal(plane.text(of, 'stderr'), '', 'what comes after the cap is not kept')
  // The spec itself keeps the 64 MiB as base64.
  t.ok(process.memoryUsage().rss - before < 450e6, `grew by ${process.memoryUsage().rss - before}`)
})

t.test('a server that allows few sessions gets no more', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { plane, run } = await startExecutor(t, { sshd: { maxSessions: 2 } })
  const all = Array.from({ length: 12 }, () => run([command('sleep 0.2; echo $PPID')]))
  for (const of of all) await plane.report('succeed-step', of)
  t.equal(new Set(all.map(of => plane.text(of))).size, 2)
})
