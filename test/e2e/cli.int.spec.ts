import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { opsconductor, type Said, startCli } from '../support/cli.ts'
import { freePort } from '../support/free-port.ts'
import { programOrSkip } from '../support/packages.ts'
import { until } from '../support/process.ts'
import { descendants, isAlive } from '../support/process-tree.ts'
import { startSshd } from '../support/sshd.ts'
import { dataFolder, startSystem } from '../support/system.ts'
import { clientOf } from '../support/system-client.ts'

const dataDir = dataFolder(t)

/** Resolves with what it printed and every process that was below it at any line of its output. */
async function watched({ child, ended }: ReturnType<typeof startCli>): Promise<Said & { pids: number[] }> {
  const pids = new Set<number>()
  child.stdout?.on('data', () => {
    for (const pid of descendants(child.pid ?? 0)) pids.add(pid)
  })
  return { ...(await ended), pids: [...pids] }
}

t.test('the demo shows what is true, and leaves nothing running', async t => {
  const env = { OPSCONDUCTOR_DATA_DIR: dataDir, OPSCONDUCTOR_PORT: String(await freePort()) }
  const { code, out, err, pids } = await watched(startCli(['demo'], { env }))
  t.equal(code, 0, err)
  t.notMatch(out, /✘/)
  t.equal(out.match(/ {2}✔ /g)?.length, 5, 'each of its five claims')
  for (const line of [
    /ready in .* at http/,
    /web-1 │ all good on this machine/,
    /now: +web-1-renamed/,
    /All of it held/,
  ])
    t.match(out, line)
  t.match(err, /run [0-9a-f-]{36} of health-check: succeeded \(5 succeeded of 5\)/)
  t.ok(pids.length > 8, `${pids.length} processes were seen`)
  t.same(pids.filter(isAlive), [])
  const { keys } = JSON.parse(readFileSync(path.join(dataDir, 'api-keys.json'), 'utf8'))
  t.same(keys, [], 'nor a way in')
})

t.test('the demo says why it cannot start', async t => {
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  t.teardown(() => taken.close())
  const address = taken.address()
  const port = address && typeof address === 'object' ? String(address.port) : ''
  const folder = dataFolder(t)
  const env = { OPSCONDUCTOR_DATA_DIR: folder, OPSCONDUCTOR_PORT: port, OPSCONDUCTOR_URL: 'http://127.0.0.1:1' }
  const { code, err, pids } = await watched(startCli(['demo'], { env }))
  t.not(code, 0)
  t.match(err, new RegExp(`the system did not start:[\\s\\S]*Port ${port} on 127\\.0\\.0\\.1 is in use`))
  t.same(pids.filter(isAlive), [])
})

/** The result of a command line that must go well: what it printed, as JSON. */
async function json(...argv: string[]) {
  const { code, out, err } = await opsconductor(...argv)
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${code}\n${err}`)
  return JSON.parse(out)
}
const columnsOf = (out: string) => out.split('\n')[0]?.split(/ {2,}/)
const refused = async (t: Test, code: number, pattern: RegExp, ...argv: string[]) => {
  const said = await opsconductor(...argv)
  t.equal(said.code, code, `${argv.join(' ')}: ${said.err}`)
  t.match(said.err, pattern, argv.join(' '))
  t.equal(said.out, '', 'nothing for the next program in a pipe')
}

t.test('the command line, as its user knows it', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const system = startSystem(t, { dataDir })
  const [api, sshd] = await Promise.all([clientOf(system), startSshd(t)])
  const key = /opsc_[\w-]{20,}/.exec(system.output())?.[0] ?? ''
  const home = path.join(t.testdir(), 'config')
  mkdirSync(path.join(home, 'opsconductor'), { recursive: true })
  const profile = (name: string, apiKey: string) => `  ${name}: { url: "${api.http.url}", apiKey: "${apiKey}" }\n`
  const config = `profiles:\n${profile('default', key)}${profile('stranger', `${key}x`)}`
  writeFileSync(path.join(home, 'opsconductor', 'config.yaml'), config)
  const before = { ...process.env }
  process.env.XDG_CONFIG_HOME = home
  t.teardown(() => {
    process.env = before
  })
  const file = (name: string, content: string) => {
    const at = path.join(home, name)
    writeFileSync(at, content)
    return at
  }

  await t.test('credentials', async t => {
    const login = ['--username', sshd.username]
    const { credentialId } = await json('credential', 'create', 'cli', ...login, '--private-key', sshd.privateKeyFile)
    const secret = startCli(['credential', 'create', 'piped', ...login, '--password-file', '-'], {
      input: 'correct horse battery\n',
    })
    const { code, out } = await secret.ended
    t.equal(code, 0)
    t.notMatch(out, /correct horse/)
    const shown = await json('credential', 'show', 'cli')
    t.match(shown, { credentialId, name: 'cli', kind: 'ssh-key', username: sshd.username, latestVersion: 1 })
    const again = file('password', 'another one\n')
    await json('credential', 'add-version', 'piped', '--password-file', again, '--reason', 'yearly')
    t.match(await json('credential', 'show', 'piped'), { latestVersion: 2 })
    await json('credential', 'revoke', 'piped', 'no longer needed')
    const revoked = await json('credential', 'list', '--status', 'revoked')
    t.ok(revoked.some((each: { name: string }) => each.name === 'piped'))
    t.notOk(revoked.some((each: { name: string }) => each.name === 'cli'))
    const table = await opsconductor('credential', 'list', '-o', 'table')
    t.same(columnsOf(table.out), ['ID', 'NAME', 'KIND', 'USERNAME', 'VERSION', 'STATUS', 'EXPIRES'])
    t.match(table.out, new RegExp(`${credentialId} +cli +ssh-key +\\S+ +1 +active`))
    await refused(t, 2, /exactly one of the options/, 'credential', 'create', 'x', ...login)
    const authority = await json(
      'credential',
      'create',
      'signer',
      '--username',
      'deploy',
      '--ssh-authority',
      '--personal',
    )
    t.match(await json('credential', 'show', 'signer'), {
      ...{ kind: 'ssh-certificate', publicKey: /^ssh-ed25519 AAAA/, owner: { kind: 'api-key' } },
    })
    t.match(await json('credential', 'where-used', authority.credentialId), { targets: [], jobs: [], releases: [] })
    const token = ['--token-file', file('token', 'tok-en\n'), '--expires', '2999-01-01T00:00:00Z']
    await json('credential', 'create', 'api', '--username', 'x', ...token)
    t.match(await json('credential', 'show', 'api'), { kind: 'api-token', expiresAt: '2999-01-01T00:00:00.000Z' })
    const elsewhere = ['--external', 'vault:secret/data/db#password', '--as', 'windows-password']
    await json('credential', 'create', 'elsewhere', '--username', 'x', ...elsewhere)
    t.match(await json('credential', 'show', 'elsewhere'), { kind: 'windows-password', external: elsewhere[1] })
    const locked = ['--private-key', '/no/such/file', '--passphrase-file', again]
    await refused(t, 2, /cannot read \/no\/such\/file/, 'credential', 'create', 'x', ...login, ...locked)
    await refused(t, 5, /The credential is revoked/, 'credential', 'add-version', 'piped', '--password-file', again)
  })

  await t.test('targets', async t => {
    const at = ['--address', '127.0.0.1', '--port', String(sshd.port), '--credential', 'cli']
    const { targetId } = await json('target', 'create', 'one', ...at, '--tag', 'env=cli', '--tag', 'role=web')
    await json('target', 'create', 'two', ...at, '--tag', 'env=cli', '--host-key', sshd.hostKey)
    t.match(await json('target', 'show', 'two'), { hostKeyPolicy: 'pinned', hostKey: sshd.hostKey })
    t.match(await json('target', 'list', '--labels', 'env=cli,role=web'), [{ targetId }])
    const { position } = await json('target', 'rename', 'one', 'uno')
    const asOf = `@${BigInt(position) - 1n}`
    t.match(await json('target', 'show', targetId.toUpperCase(), '--as-of', asOf), { name: 'one' })
    t.match(await json('target', 'list', '--labels', 'role=web', '--as-of', asOf), [{ name: 'one' }])
    t.match(await json('target', 'blame', 'uno'), { fields: { name: { eventType: 'TargetRenamed' } } })
    t.match((await opsconductor('target', 'rename', 'uno', 'uno')).err, /nothing to change/)
    await json('target', 'pin-host-key', 'uno', sshd.hostKey)
    await json('target', 'decommission', 'two', 'moved')
    t.match(await json('target', 'list', '--status', 'decommissioned', '--labels', 'env=cli'), [{ name: 'two' }])
    await json('target', 'reinstate', 'two', 'back')
    const table = await opsconductor('target', 'list', '--labels', 'env=cli', '--limit', '5', '-o', 'table')
    t.same(columnsOf(table.out), ['ID', 'NAME', 'ADDRESS', 'TAGS', 'HOST KEY', 'STATUS'])
    t.match(table.out, /uno +127\.0\.0\.1:\d+ +env=cli,role=web +pinned +active/)
    const yaml = parse((await opsconductor('target', 'show', 'uno', '-o', 'yaml')).out)
    t.match(yaml, { targetId, tags: { env: 'cli', role: 'web' } })
    t.match((await opsconductor('target', 'show', 'uno', '-o', 'table')).out, /^name +uno$/m)
    for (const port of ['23', '24']) await json('target', 'create', 'twin', '--address', 'twin', '--port', port)
    await refused(t, 2, /2 targets are called twin; name one by its id: \S+, \S+$/m, 'target', 'show', 'twin')
    await refused(t, 2, /key=value/, 'target', 'create', 'x', '--address', 'h', '--tag', '=x')
    await refused(t, 2, /a whole number is needed/, 'target', 'create', 'x', '--address', 'h', '--port', 'ssh')
    await refused(t, 2, /port: /, 'target', 'create', 'x', '--address', 'h', '--port', '70000')
  })

  await t.test('jobs', async t => {
    const { jobId } = await json(
      'job',
      'create',
      'hello',
      '--command',
      'echo hello; echo oops >&2',
      '--labels',
      'env=cli',
    )
    const steps = 'steps:\n  - { id: fail, uses: ssh.command, with: { command: exit 3 } }\n'
    const definition = file('job.yaml', `${steps}selection: { labels: env=cli }\n`)
    await json('job', 'create', 'failing', '-f', definition, '--description', 'fails', '--credential', 'cli')
    t.match(await json('job', 'show', 'failing'), { description: 'fails', selection: { labels: 'env=cli' } })
    await json('job', 'create', 'once', '--command', 'true')
    const published = await json(
      'job',
      'publish',
      'once',
      '--command',
      'sleep 60',
      '--labels',
      'role=web',
      '--reason',
      'x',
    )
    const then = `@${BigInt(published.position) - 1n}`
    t.match(await json('job', 'show', 'once', '--as-of', then), { latestVersion: 1 })
    t.match(await json('job', 'show', 'once'), { latestVersion: 2 })
    await json('job', 'disable', 'once', 'review')
    t.match(await json('job', 'list', '--status', 'disabled'), [{ name: 'once' }])
    await refused(t, 5, /error: The job is disabled/, 'run', 'create', 'once')
    await json('job', 'enable', 'once')
    await json('job', 'create', 'old', '--command', 'true')
    await json('job', 'archive', 'old', 'obsolete')
    const table = await opsconductor('job', 'list', '--status', 'enabled', '-o', 'table')
    t.same(columnsOf(table.out), ['ID', 'NAME', 'VERSION', 'STEPS', 'SELECTION', 'STATUS'])
    t.match(table.out, new RegExp(`${jobId} +hello +1 +1 +env=cli +enabled`))
    await refused(t, 2, /give either --file/, 'job', 'create', 'x')
    await refused(t, 2, /must hold an object/, 'job', 'create', 'x', '-f', file('list.yaml', '- a\n'))
    await refused(t, 2, /is not valid YAML or JSON/, 'job', 'create', 'x', '-f', file('broken.yaml', '{"a": '))
  })

  await t.test('runs end with the exit code of what they did', async t => {
    const good = await opsconductor('run', 'create', 'hello', '--follow')
    t.equal(good.code, 0, good.err)
    t.same(good.out.trimEnd().split('\n').sort(), ['two │ hello', 'uno │ hello'])
    t.match(good.err, /^(uno|two) │ oops$/m, 'what went to stderr there goes to stderr here')
    t.match(good.err, /^✔ (uno|two) {2}2\/2$/m)
    t.match(good.err, /run \S+ of hello: succeeded \(2 succeeded of 2\)/)
    const bad = startCli(['run', 'create', 'failing', '--target', 'uno', '--reason', 'see it fail', '--follow'])
    const { code, err } = await bad.ended
    t.equal(code, 1)
    t.match(err, /^✘ uno {2}1\/1 {2}exit-nonzero/m)
    t.match(err, /of failing: failed \(0 succeeded, 1 failed of 1\)/)
    const { runId } = await json('run', 'create', 'hello', '--labels', 'role=web', '--version', '1')
    const followed = await opsconductor('run', 'follow', runId)
    t.match(followed, { code: 0, out: 'uno │ hello\n' })
    const shown = await json('run', 'show', runId)
    t.match(shown, { runId, status: 'succeeded', targetRuns: [{ targetName: 'uno', status: 'succeeded' }] })
    const table = (await opsconductor('run', 'show', runId, '-o', 'table')).out
    t.match(table, /^status +succeeded$/m)
    t.match(table, /^N +TARGET +STATUS +FAILURE +DETAIL\n0 +uno +succeeded +- +-$/m)
    t.equal((await json('run', 'list', '--job', 'hello')).length, 2)
    t.match(await json('run', 'list', '--status', 'failed', '--limit', '1'), [{ jobName: 'failing' }])
    t.same(columnsOf((await opsconductor('run', 'list', '-o', 'table')).out)?.slice(0, 4), [
      ...['ID', 'JOB', 'STATUS', 'TARGETS'],
    ])
  })

  await t.test('a run is told parameters, shown beforehand, asked for approval, and summed up', async t => {
    const definition = file(
      'greet.yaml',
      `name: greet
parameters: { word: { type: string, required: true } }
selection: { labels: env=cli }
steps:
  - { id: go, uses: approval, with: { prompt: "Say it?" } }
  - { id: greet, uses: ssh.command, with: { command: "echo \${{ params.word }}" } }
`,
    )
    await json('job', 'create', '-f', definition)
    const word = ['--param', 'word=it is; so $(done)']
    await refused(t, 2, /^ {2}parameters\.word: /m, 'run', 'trigger', 'greet')
    const plan = await json('run', 'trigger', 'greet', ...word, '--plan')
    t.match(plan, { mode: 'plan', targets: 2, steps: [{ id: 'go', gate: true }, { id: 'greet' }] })
    t.match(plan.targetRuns[0].steps, [{ stepId: 'greet', does: 'runs', verdict: { decision: 'allow' } }])
    const watched = startCli(['run', 'trigger', 'greet', ...word, '--watch'])
    await until('it asks', () => /waits for approval: Say it\?/.test(watched.said.err))
    const [asked] = await json('approval', 'list')
    t.match(asked, { jobName: 'greet', stepId: 'go', prompt: 'Say it?' })
    await json('approval', 'grant', asked.runId, 'go', '--reason', 'seen')
    const { code, out, err } = await watched.ended
    t.equal(code, 0, err)
    t.same(out.trimEnd().split('\n').sort(), ['two │ it is; so $(done)', 'uno │ it is; so $(done)'])
    const summed = await opsconductor('run', 'results', asked.runId, '-o', 'table')
    t.match(summed.out, /^(two,uno|uno,two) \(2\)\n-+\nit is; so \$\(done\)\n$/m)
    t.match(await json('run', 'show', asked.runId), {
      progress: { percent: 100 },
      parameters: { word: 'it is; so $(done)' },
    })
    t.match(await json('run', 'attention', asked.runId), { items: [], approvals: [] })
    const shown = await opsconductor('run', 'rerun', asked.runId, '--from-step', 'greet', '--plan', '-o', 'table')
    t.match(shown.out, /^greet v1 on 2 targets: would run\n {2}go: counts as done, nobody is asked\n/)
    t.match(await opsconductor('run', 'rerun', asked.runId, '--from-step', 'greet', '--watch'), {
      ...{ code: 0, out: /uno │ it is; so/ },
    })
    t.same(await json('approval', 'list'), [])
    const again = startCli(['run', 'rerun', asked.runId, '--watch'])
    await until('it asks again', () => /waits for approval/.test(again.said.err))
    const [once] = await json('approval', 'list')
    t.not(once.runId, asked.runId, 'a yes is for one run')
    await json('approval', 'deny', once.runId, 'go', 'once is enough')
    t.match(await again.ended, { code: 5, err: /approval denied: once is enough[\s\S]*greet: rejected/ })
  })

  await t.test('Ctrl-C stops watching, cancel stops the run', async t => {
    const { child, said, ended } = startCli(['run', 'create', 'once', '--follow'])
    await until('it runs', () => /^run \S+$/m.test(said.err))
    const runId = /^run (\S+)$/m.exec(said.err)?.[1] ?? ''
    await until('it is running', async () => (await json('run', 'show', runId)).status === 'running')
    child.kill('SIGINT')
    t.match(await ended, { code: 130 })
    t.match(await json('run', 'show', runId), { status: 'running' }, 'and is not harmed by it')
    await json('run', 'cancel', runId, '--reason', 'enough')
    const watching = await opsconductor('run', 'follow', runId)
    t.match(watching, { code: 1, err: /^■ uno {2}1\/1/m })
    t.match(watching.err, /cancelled \(0 succeeded, 1 cancelled of 1\)/)
  })

  await t.test('any command of the API', async t => {
    t.ok((await json('command')).some((command: { name: string }) => command.name === 'tag-target'))
    const example = await opsconductor('command', 'tag-target', '--example', '-o', 'table')
    const { targetId } = await json('target', 'show', 'uno')
    const body = file('tag.yaml', example.out.replace(/targetId: .*/, `targetId: ${targetId}`))
    t.match(await json('command', 'tag-target', '-f', body), { events: [{ type: 'TargetTagged' }] })
    const piped = startCli(['command', 'untag-target'], { input: JSON.stringify({ targetId, key: 'role' }) })
    t.match(await piped.ended, { code: 0, out: /TargetUntagged/ })
    await refused(t, 2, /there is no command tag-targt; did you mean tag-target\?/, 'command', 'tag-targt')
    await refused(t, 2, /`opsconductor command` lists them/, 'command', 'make-coffee')
  })

  await t.test('what happened, and how it is', async t => {
    const { targetId } = await json('target', 'show', 'uno')
    await until('the history is told', async () =>
      JSON.stringify(await json('audit', 'list', '--resource', targetId)).includes('TargetUntagged'),
    )
    const records = await json('audit', 'list', '--type', 'TargetRenamed', '--resource', targetId)
    t.match(records, [{ before: { name: 'one' }, after: { name: 'uno' }, resource: { type: 'target' } }])
    const table = await opsconductor('audit', 'list', '--limit', '3', '--from', '2026-01-01T00:00:00Z', '-o', 'table')
    t.same(columnsOf(table.out), ['WHEN', 'ACTOR', 'EVENT', 'RESOURCE', 'CHANGED'])
    t.equal(table.out.trimEnd().split('\n').length, 4)
    t.match(await opsconductor('audit', 'list', '--actor', 'nobody', '-o', 'table'), { code: 0, out: 'none\n' })
    t.match(await json('status'), { url: api.http.url, ready: true })
    t.match(await opsconductor('--url', 'http://127.0.0.1:1', 'status'), { code: 1, out: /not reachable/ })
  })

  await t.test('what is wrong is said, with what to do, and told to scripts', async t => {
    await refused(t, 2, /Did you mean target\?/, 'targt', 'list')
    await refused(t, 2, /Did you mean list\?/, 'target', 'lst')
    await refused(t, 2, /missing required argument 'new-name'/, 'target', 'rename', 'uno')
    await refused(t, 2, /--address/, 'target', 'create', 'x')
    await refused(t, 2, /unknown option '--labls'[\s\S]*Did you mean --labels\?/, 'target', 'list', '--labls', 'a')
    await refused(t, 2, /--output is table, json or yaml, not xml/, '-o', 'xml', 'target', 'list')
    await refused(t, 2, /there is no profile absent/, '--profile', 'absent', 'target', 'list')
    const stranger = ['--profile', 'stranger', 'target']
    await refused(t, 3, /opsconductor login`, or set OPSCONDUCTOR_API_KEY[\s\S]*admin-key create/, ...stranger, 'list')
    await refused(t, 3, /An API key is needed/, ...stranger, 'create', 'x', '--address', 'h')
    await refused(t, 4, /there is no target called nope; see `opsconductor target list`/, 'target', 'show', 'nope')
    const nobody = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
    await refused(t, 4, /There is no such run/, 'run', 'show', nobody)
    await refused(t, 4, /There is no such job/, 'run', 'create', nobody, '--labels', 'env=cli')
    await refused(t, 5, /matches no active target/, 'run', 'create', 'hello', '--labels', 'env=none')
    const told = /http:\/\/127\.0\.0\.1:1 does not answer[\s\S]*npm start[\s\S]*--url/
    await refused(t, 1, told, '--url', 'http://127.0.0.1:1', 'target', 'list')
    for (const tool of ['admin-key', 'projections']) {
      const { code, out, err } = await startCli([tool, '--lable', 'x'], { env: { OPSCONDUCTOR_DATA_DIR: dataDir } })
        .ended
      t.match({ code, out, err }, { code: 2, out: '', err: /^Unknown option '--lable'/ }, tool)
      t.notMatch(err, / {4}at /)
    }
    t.match(await opsconductor('--help'), { code: 0, out: /Examples:[\s\S]*Exit codes: 0 ok, 1 failed, 2 usage/ })
    t.match(await opsconductor('run', 'create', '--help'), { code: 0, out: /--follow/ })
  })

  await t.test('a reader that has seen enough is no fault', async t => {
    const { child, ended } = startCli(['audit', 'list', '--limit', '1000', '-o', 'table'])
    child.stdout?.destroy()
    t.match(await ended, { code: 0, err: '' })
  })
})
