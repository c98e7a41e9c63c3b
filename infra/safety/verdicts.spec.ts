import t from 'tap'
import { actionOf } from '../../test/support/workflow.ts'
import { defaultRules } from './default-rules.ts'
import { ruleSetSchema, rulesDigest } from './rules.ts'
import { commandText, stepText } from './step-text.ts'
import { createVerdicts } from './verdicts.ts'

const verdicts = createVerdicts()
const shell = (command: string) => ({ shell: 'posix' as const, command })

t.test('every rule that speaks against a command is named, those that refuse first', async t => {
  t.same(await verdicts.findings(shell('uptime'), {}), [])
  const both = await verdicts.findings(shell('dropdb shop; reboot'), {})
  t.match(both, [
    { rule: 'power', decision: 'confirm', reason: /\w/ },
    { rule: 'drop-database', decision: 'confirm' },
  ])
  const many = await verdicts.findings(shell('dropdb shop; reboot'), { environment: 'production', targets: 11 })
  t.match(many, [{ decision: 'deny' }, { decision: 'deny' }])
  const one = await verdicts.findings(shell('reboot; dropdb shop'), { environment: 'production', targets: 1 })
  t.match(one, [
    { rule: 'drop-database', decision: 'deny' },
    { rule: 'power', decision: 'confirm' },
  ])
  t.notMatch(JSON.stringify(both), /shop/, 'nothing of the command is told')
})

t.test('the rules decide, and are known by their digest', async t => {
  t.equal(verdicts.digest, rulesDigest(defaultRules))
  t.same([...verdicts.environments], ['production'])
  const rules = ruleSetSchema.parse({
    version: 'own',
    rules: [
      {
        ...{ id: 'no-ls', title: 'ls', match: [{ verb: ['ls'] }], decision: 'allow', reason: 'Not here.' },
        cases: [{ environment: 'lab', decision: 'deny' }],
      },
    ],
  })
  const own = createVerdicts({ rules })
  t.same(await own.findings(shell('ls'), {}), [])
  t.same(await own.findings(shell('ls'), { environment: 'lab' }), [
    { rule: 'no-ls', decision: 'deny', reason: 'Not here.' },
  ])
  t.same([...own.environments], ['lab'])
})

t.test('a text is judged once while it is remembered', async t => {
  const few = createVerdicts({ max: 2 })
  const text = shell(`reboot; ${'echo a b c; '.repeat(400)}`)
  const timed = async (times: number) => {
    const begun = performance.now()
    for (let i = 0; i < times; i += 1) await few.findings(text, { targets: i })
    return performance.now() - begun
  }
  await few.findings(shell('true'), {})
  const first = await timed(1)
  const again = await timed(20)
  t.ok(again < first, `20 times in ${again} ms, the first time in ${first} ms`)
  for (const other of ['true', 'false']) await few.findings(shell(other), {})
  t.match(await few.findings(text, {}), [{ rule: 'power' }], 'and again once it was forgotten')
})

t.test('what a shell reads of a step', async t => {
  const of = (uses: string, details: object, variables = {}) => stepText(actionOf(uses, details), variables)
  t.same(of('ssh.command', { command: 'echo "${opsc_1}"' }, { opsc_1: "it's" }), {
    shell: 'posix',
    command: `opsc_1='it'\\''s'\necho "\${opsc_1}"`,
  })
  t.same(commandText('true'), { shell: 'posix', command: 'true' })
  t.same(of('wait.until', { probe: { kind: 'command', command: 'true' } })?.command, 'true')
  t.equal(of('wait.until', { probe: { kind: 'tcp', port: 22 } }), undefined)
  t.equal(of('noop', {}), undefined)
  const script = (interpreter: string, args: string[] = []) =>
    of('ssh.script', { script: 'rm -rf "$1"', interpreter, arguments: args })
  for (const name of ['sh', 'bash', 'dash', 'ash', 'ksh', 'zsh'])
    t.match(script(`/usr/bin/${name}`), { shell: 'posix', command: 'rm -rf "$1"' })
  t.same(script('/bin/sh', ['a b'])?.command, `set -- 'a b'\nrm -rf "$1"`)
  t.match(script('/usr/bin/pwsh', ['/']), { shell: 'powershell', command: 'rm -rf "$1"' })
  t.equal(script('/usr/bin/python3'), undefined)
})

t.test('what a command is given to read is judged as what it may be', async t => {
  const fed = (command: string, stdin: string) =>
    verdicts.findings(stepText(actionOf('ssh.command', { command, stdin })) ?? shell(''), {})
  t.match(await fed('sh', 'rm -rf /'), [{ rule: 'delete-system-root' }])
  t.match(await fed('sudo bash -s # now', 'opsc_stdin\nrm -rf /etc\n'), [{ rule: 'delete-system-root' }])
  t.same(await fed('cat >/tmp/x', 'rm -rf /'), [])
  const secretly = (command: string) =>
    verdicts.findings(stepText(actionOf('ssh.command', { command }), {}, true) ?? shell(''), {})
  t.match(await secretly('sudo sh -s # now'), [{ rule: 'piped-code', decision: 'confirm' }], 'a secret may be code')
  t.same(await secretly('registry-login --password-stdin'), [])
})
