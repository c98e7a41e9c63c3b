import t from 'tap'
import { planText } from './plan.ts'

const steps = [
  { stepId: 'install', does: 'runs', text: 'opsc_1=\'1.4\'\ninstall "${opsc_1}"', verdict: none() },
  { stepId: 'feed', does: 'runs', text: 'cat', stdin: '[secret]', verdict: none() },
  {
    stepId: 'clean',
    does: 'runs',
    text: 'rm -rf /srv',
    verdict: { ...none(), decision: 'confirm', rule: 'delete-place' },
  },
  { stepId: 'db', does: 'skipped', why: 'not-selected' },
  { stepId: 'deep', does: 'skipped', why: 'condition' },
  { stepId: 'early', does: 'skipped', why: 'before-first-step' },
  { stepId: 'later', does: 'known-later', why: 'depends on install' },
  { stepId: 'if', does: 'may-run', why: 'depends on install', text: 'true' },
  { stepId: 'bad', does: 'fails', why: 'there is no name' },
  { stepId: 'mail', phase: 'handler', does: 'waits', text: 'wait 5 s' },
]
function none() {
  return { decision: 'allow', rule: null, reason: '' }
}
const finding = {
  stepId: 'clean',
  environment: 'production',
  rule: 'delete-place',
  decision: 'confirm',
  reason: 'All of it.',
}
const plan = {
  steps: [{ id: 'ask', gate: true, skipped: 'before-first-step' }, { id: 'deploy', gate: true }, { id: 'install' }],
  ...{ jobName: 'release', jobVersion: 4, targets: 5, allowed: false, confirmationNeeded: [finding], denied: [] },
  targetRuns: [
    { targetName: 'web-1', steps },
    { targetName: 'web-2', steps },
    { targetName: 'web-3\u001b[2J', steps: steps.slice(0, 1) },
  ],
  more: 2,
}

t.test('a plan is written once for targets with the same steps', async t => {
  t.equal(
    planText(plan),
    [
      'release v4 on 5 targets: would have to be confirmed with --confirm',
      '  ask: counts as done, nobody is asked',
      '  confirm delete-place, step clean in production: All of it.',
      '',
      'web-1, web-2',
      '  install',
      "      opsc_1='1.4'",
      '      install "${opsc_1}"',
      '  feed',
      '      cat',
      '      < [secret]',
      '  clean [confirm: delete-place]',
      '      rm -rf /srv',
      '  db: not on this target',
      '  deep: left out, its condition is false',
      '  early: counts as done',
      '  later: known later, it depends on install',
      '  if: perhaps, it depends on install',
      '      true',
      '  bad: cannot be done: there is no name',
      '  mail (after a failure)',
      '      wait 5 s',
      '',
      'web-3\uFFFD[2J',
      '  install',
      "      opsc_1='1.4'",
      '      install "${opsc_1}"',
      '',
      '… and 2 more',
    ].join('\n'),
  )
})

t.test('the first line says what would become of it', async t => {
  const first = (more: object) => planText({ ...plan, ...more }).split('\n')[0]
  t.match(first({ denied: [{ ...finding, decision: 'deny' }] }), /would be refused$/)
  t.match(first({ allowed: true }), /would run, confirmed$/)
  t.match(first({ allowed: true, confirmationNeeded: [], targets: 1 }), /v4 on 1 target: would run$/)
})
