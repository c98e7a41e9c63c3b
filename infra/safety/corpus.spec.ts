import t from 'tap'
import { cmdBad } from '../../test/support/safety/cmd-bad.ts'
import { cmdBenign } from '../../test/support/safety/cmd-benign.ts'
import { posixBad } from '../../test/support/safety/posix-bad.ts'
import { posixBenign } from '../../test/support/safety/posix-benign.ts'
import { powershellBad } from '../../test/support/safety/powershell-bad.ts'
import { powershellBenign } from '../../test/support/safety/powershell-benign.ts'
import { shownFactSchema } from './facts.ts'
import { judge } from './judge.ts'

const corpus = {
  posix: { ...posixBad, benign: posixBenign },
  powershell: { ...powershellBad, benign: powershellBenign },
  cmd: { ...cmdBad, benign: cmdBenign },
}

t.test('every bad command is caught, every look-alike is let through', async t => {
  for (const [name, { deny, confirm, benign }] of Object.entries(corpus)) {
    const shell = name as keyof typeof corpus // a key of the object above
    const wrong: string[] = []
    const expect = async (command: string, right: (decision: string) => boolean) => {
      const { decision, rule, reason, facts } = await judge({ shell, command })
      if (!right(decision)) wrong.push(`${decision} ${rule}: ${command}`)
      if ((decision === 'allow') !== (rule === null)) wrong.push(`${decision} without its rule: ${command}`)
      if (reason === '') wrong.push(`no reason: ${command}`)
      for (const fact of facts) shownFactSchema.parse(fact)
    }
    for (const command of deny) await expect(command, decision => decision === 'deny')
    for (const command of confirm) await expect(command, decision => decision !== 'allow')
    for (const command of benign) await expect(command, decision => decision === 'allow')
    t.strictSame(wrong, [], shell)
  }
})

t.test('the corpus is large enough to mean something', async t => {
  const all = Object.values(corpus)
  t.ok(all.flatMap(({ deny, confirm }) => [...deny, ...confirm]).length >= 450)
  t.ok(all.flatMap(({ benign }) => benign).length >= 350)
})

t.test('production is never more lenient, and more targets neither', async t => {
  const order = ['allow', 'confirm', 'deny']
  for (const command of [...posixBad.confirm, ...posixBad.deny]) {
    const plain = order.indexOf((await judge({ shell: 'posix', command })).decision)
    const production = order.indexOf((await judge({ shell: 'posix', command, environment: 'production' })).decision)
    const many = order.indexOf(
      (await judge({ shell: 'posix', command, environment: 'production', targets: 500 })).decision,
    )
    t.ok(plain <= production && production <= many, command)
  }
})

t.test('a reboot is asked about, and refused for many machines of production at once', async t => {
  const reboot = (targets: number, environment?: string) =>
    judge({ shell: 'posix', command: 'reboot', environment, targets })
  t.equal((await reboot(1, 'production')).decision, 'confirm')
  t.equal((await reboot(11, 'production')).decision, 'deny')
  t.equal((await reboot(11, 'staging')).decision, 'confirm')
  t.equal((await reboot(101)).decision, 'deny')
})

t.test('facts say what was found where', async t => {
  const { facts } = await judge({ shell: 'posix', command: 'cd /srv && sudo timeout 5 rm -rf app/../cache | tee log' })
  const [fact] = facts.filter(({ verb }) => verb === 'rm')
  t.match(fact, {
    effect: 'delete',
    targets: ['/srv/cache'],
    recursive: true,
    force: true,
    privileged: true,
    via: ['sudo', 'timeout'],
    pipesInto: 'tee',
    cwd: '/srv',
    dynamic: false,
  })
})

t.test('what is not known is shown as such', async t => {
  const { facts } = await judge({ shell: 'posix', command: 'rm -rf "$DIR"/*' })
  t.strictSame(facts[0]?.targets, ['${?}/*'])
  t.equal(facts[0]?.dynamic, true)
})
