import t from 'tap'
import { builtInRoles } from '../../schemas/permissions.ts'
import { builtInSodRules, type SodRuleEvent, type SodRuleRow, type SodViolationEvent } from '../../schemas/sod.ts'
import { specFor, specMeta } from '../../test/support/decider-spec.ts'
import { type Act, exemptionsOf, findingsAboutAct, findingsAboutDuties, type Holding, verdictOf } from './sod.ts'
import { sodRule } from './sod-rule.ts'
import { sodViolation } from './sod-violation.ts'

const [ann, bob] = ['user:ann', 'user:bob']
const role = (name: keyof typeof builtInRoles): Holding => ({ role: name, permissions: builtInRoles[name].permissions })
const own = (name: string, ...permissions: string[]): Holding => ({ role: name, permissions })
const namesOf = (found: ReadonlyArray<{ rule: SodRuleRow }>) => found.map(({ rule }) => rule.rule)

t.test('duties that are not for one person are found when the second of them comes', async t => {
  const found = (had: Holding[], added: Holding) => namesOf(findingsAboutDuties(builtInSodRules, ann, had, [added]))
  const cases: ReadonlyArray<[Holding[], Holding, string[]]> = [
    [[], role('auditor'), []],
    [[role('auditor')], role('viewer'), []],
    [[role('auditor')], role('operator'), ['auditor-write']],
    [[role('operator')], role('auditor'), ['auditor-write']],
    [[role('auditor')], role('administrator'), ['auditor-write']],
    [[role('administrator')], role('auditor'), ['auditor-write']],
    [[], role('administrator'), []],
    [[role('administrator')], role('user-admin'), []],
    [[role('user-admin')], own('definer', 'role:read', 'role:write'), ['user-admin-role-definer']],
    [[], own('both', 'user:write', 'role:write'), ['user-admin-role-definer']],
    [[role('auditor'), role('operator')], role('viewer'), []],
  ]
  for (const [had, added, expected] of cases)
    t.same(found(had, added), expected, `${had.map(each => each.role)} gets ${added.role}`)
})

t.test('acts about one thing that are not for one person are found by who did what', async t => {
  const found = (now: Act['now'], before: Act['before'], person = ann, targets: Act['targets'] = []) =>
    namesOf(findingsAboutAct(builtInSodRules, { now, person, before, targets }))
  t.same(found('approver', { author: [bob], requester: [bob] }), [])
  t.same(found('approver', { author: [ann], requester: [bob] }), ['author-approver'])
  t.same(found('approver', { author: [ann], requester: [ann] }), ['author-approver', 'requester-approver'])
  t.same(found('requester', { 'credential-writer': [bob, ann] }), ['credential-runner'])
  t.same(found('requester', { author: [ann] }), [])
  t.same(found('author', { author: [ann], requester: [ann] }), [])
})

t.test('a rule about some targets holds where one of them is among the targets', async t => {
  const [authors] = builtInSodRules as [SodRuleRow]
  const inProduction = { ...authors, targets: 'env=prod' }
  const found = (...targets: Array<Record<string, string>>) =>
    findingsAboutAct([inProduction], { now: 'approver', person: ann, before: { author: [ann] }, targets }).length
  t.equal(found({ env: 'lab' }, { env: 'prod' }), 1)
  t.equal(found({ env: 'lab' }), 0)
  t.equal(found(), 0)
})

t.test('what comes of it follows from the strictest rule that nobody waived', async t => {
  const found = (...modes: SodRuleRow['mode'][]) =>
    modes.map(mode => ({ rule: { ...(builtInSodRules[0] as SodRuleRow), rule: mode, mode }, person: ann, detail: 'd' }))
  const verdict = (modes: SodRuleRow['mode'][], justification?: string, waived: string[] = []) =>
    verdictOf(found(...modes), ({ rule }) => waived.includes(rule.rule), justification)
  const told = (answer: ReturnType<typeof verdict>) => answer.told.map(({ outcome }) => outcome)
  t.same(told(verdict([])), [])
  t.same(told(verdict(['detect'])), ['allowed'])
  t.throws(() => verdict(['detect', 'justify']), { code: 'justification-needed' })
  t.same(told(verdict(['detect', 'justify'], 'the only one here')), ['allowed', 'justified'])
  const blocked = verdict(['detect', 'justify', 'block'], 'please')
  t.equal(blocked.refused?.rule.rule, 'block', 'a reason does not help')
  t.same(told(blocked), ['blocked'], 'nothing is told of what did not happen')
  t.same(told(verdict(['block', 'detect'], undefined, ['block'])), ['allowed'])
})

t.test('of whom no rule binds, all is told that a rule would have kept a person from', async t => {
  const found = (['detect', 'justify', 'block'] as const).map(mode => {
    const rule = { ...(builtInSodRules[0] as SodRuleRow), rule: mode, mode }
    return { rule, person: 'api-key:root', detail: 'd' }
  })
  const told = (...waived: string[]) =>
    exemptionsOf(found, ({ rule }) => waived.includes(rule.rule)).map(({ finding, outcome }) => [
      finding.rule.rule,
      outcome,
    ])
  t.same(told(), [
    ['justify', 'exempt'],
    ['block', 'exempt'],
  ])
  t.same(told('justify', 'block'), [])
})

t.test('rules are data: defined, changed and retired, the built-in ones too', async () => {
  const spec = (...events: SodRuleEvent[]) => specFor(t, sodRule).given(...events)
  const data = {
    rule: 'author-runner',
    mode: 'justify',
    conflict: { kind: 'acts', before: 'author', now: 'requester' },
  } as const
  const defined: SodRuleEvent = { type: 'SodRuleDefined', data }
  spec().when({ type: 'define-sod-rule', data }).thenRecords(defined)
  spec(defined).when({ type: 'define-sod-rule', data }).thenNothing()
  spec(defined)
    .when({ type: 'define-sod-rule', data: { ...data, mode: 'block' } })
    .thenRejects('sod-rule-already-exists')
  spec()
    .when({ type: 'define-sod-rule', data: { ...data, rule: 'auditor-write' } })
    .thenRejects('sod-rule-already-exists')
  const reason = 'there are two of us'
  spec()
    .when({ type: 'change-sod-rule', data: { rule: 'nothing', mode: 'block', reason } })
    .thenRejects('sod-rule-not-found')
  const changed: SodRuleEvent = {
    type: 'SodRuleChanged',
    data: { rule: 'author-approver', mode: 'block', targets: 'env=prod', reason },
  }
  spec()
    .when({ type: 'change-sod-rule', data: { rule: 'author-approver', targets: 'env=prod', reason } })
    .thenRecords(changed)
  spec()
    .when({ type: 'change-sod-rule', data: { rule: 'author-approver', mode: 'block', reason } })
    .thenNothing()
  spec(changed)
    .when({ type: 'change-sod-rule', data: { rule: 'author-approver', mode: 'detect', targets: null, reason } })
    .thenRecords({ type: 'SodRuleChanged', data: { rule: 'author-approver', mode: 'detect', reason } })
  const retired: SodRuleEvent = { type: 'SodRuleRetired', data: { rule: 'author-approver', reason } }
  const retire = { type: 'retire-sod-rule', data: { rule: 'author-approver', reason } } as const
  spec(changed).when(retire).thenRecords(retired)
  spec().when(retire).thenRecords(retired)
  spec(retired).when(retire).thenNothing()
  spec(retired)
    .when({ type: 'change-sod-rule', data: { rule: 'author-approver', mode: 'detect', reason } })
    .thenRejects('sod-rule-retired')
})

t.test('each violation is told once, and waived by somebody else for a time', async () => {
  const violationId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
  const seen = {
    violationId,
    rule: 'author-approver',
    person: ann,
    mode: 'block',
    outcome: 'blocked',
    about: { kind: 'run', id: 'r1' },
    detail: 'wrote the job version',
  } as const
  const detected: SodViolationEvent = { type: 'SodViolationDetected', data: seen }
  const spec = (...events: SodViolationEvent[]) => specFor(t, sodViolation).given(...events)
  const report = { type: 'report-sod-violation', data: seen } as const
  spec().when(report).thenRecords(detected)
  spec(detected).when(report).thenNothing()
  const other = { ...seen, about: { kind: 'run', id: 'r2' } }
  spec(detected)
    .when({ type: 'report-sod-violation', data: other })
    .thenRecords({ type: 'SodViolationDetected', data: other })
  const waiver = { violationId, until: '2030-02-01T00:00:00.000Z', reason: 'alone in January' }
  const waive = { type: 'waive-sod-violation', data: waiver } as const
  const waived: SodViolationEvent = { type: 'SodViolationWaived', data: waiver }
  spec().when(waive, { by: bob }).thenRejects('sod-violation-not-found')
  spec(detected).when(waive, { by: ann }).thenRejects('sod-self-waiver')
  spec(detected).when(waive, { by: bob }).thenRecords(waived)
  spec(detected, waived).when(waive, { by: bob }).thenNothing()
  spec(detected)
    .when({ type: 'waive-sod-violation', data: { ...waiver, until: specMeta.at } }, { by: bob })
    .thenRejects('invalid-input')
})
