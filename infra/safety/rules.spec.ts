import t from 'tap'
import { createBudget } from './bounds.ts'
import { defaultRules } from './default-rules.ts'
import { emit, type Fact, plainFact, type Session } from './facts.ts'
import { judge } from './judge.ts'
import { decisionOf, type Rule, ruleFits, ruleSchema, ruleSetSchema, rulesDigest } from './rules.ts'

const rule = (match: Rule['match'], more: Partial<Rule> = {}): Rule => ({
  id: 'own',
  title: 'A rule of the house',
  match,
  decision: 'deny',
  reason: 'The house says so.',
  ...more,
})
const scope = { cwd: '/', privileged: false, via: [], depth: 0 }
const fact = (verb: string, args: string[] = [], more: Partial<Fact> = {}): Fact => ({
  ...plainFact(verb, args, scope),
  ...more,
})

t.test('the shipped rules are well-formed, each with an id of its own', async t => {
  t.doesNotThrow(() => ruleSetSchema.parse(defaultRules))
})

t.test('what is not understood is refused', async t => {
  const good = rule([{ verb: ['x'] }])
  t.ok(ruleSchema.safeParse(good).success)
  for (const bad of [
    { ...good, match: [{}] },
    { ...good, match: [] },
    { ...good, match: [{ verb: 'x' }] },
    { ...good, match: [{ verbs: ['x'] }] },
    { ...good, match: [{ effect: ['explode'] }] },
    { ...good, decision: 'maybe' },
    { ...good, id: 'Not An Id' },
    { ...good, cases: [{ environment: 'production' }] },
  ])
    t.notOk(ruleSchema.safeParse(bad).success)
  t.notOk(ruleSetSchema.safeParse({ version: '1', rules: [good, good] }).success)
})

t.test('the digest depends on what the rules say and on nothing else', async t => {
  const set = { version: '1', rules: [rule([{ verb: ['x'], kind: ['root'] }])] }
  const turned = { rules: [{ ...rule([{ kind: ['root'], verb: ['x'] }]) }], version: '1' }
  t.match(rulesDigest(set), /^[0-9a-f]{64}$/)
  t.equal(rulesDigest(set), rulesDigest(turned as typeof set))
  t.not(rulesDigest(set), rulesDigest({ ...set, version: '2' }))
  t.not(rulesDigest(set), rulesDigest({ ...set, rules: [rule([{ verb: ['y'], kind: ['root'] }])] }))
})

t.test('a match needs all it names', async t => {
  const fits = (match: Rule['match'][number], one: Fact) => ruleFits(rule([match]), one)
  t.ok(fits({ verb: ['mk*'] }, fact('mkfs')))
  t.notOk(fits({ verb: ['mk*'], privileged: true }, fact('mkfs')))
  t.ok(fits({ kind: ['root', 'home'] }, fact('rm', [], { kinds: ['home'] })))
  t.notOk(fits({ effect: ['delete'] }, fact('rm')))
  t.ok(fits({ target: ['/srv/*'] }, fact('rm', [], { targets: ['/srv/a'] })))
  t.ok(fits({ words: ['delete', 'ns|namespace'] }, fact('kubectl', ['-n', 'x', 'delete', 'namespace', 'y'])))
  t.notOk(fits({ words: ['delete', 'ns'] }, fact('kubectl', ['delete'])))
  t.ok(fits({ option: ['--force'] }, fact('git', ['push', '--force'])))
  t.ok(fits({ option: ['-f'] }, fact('git', ['push', '-vf'])))
  t.notOk(fits({ option: ['--force'], without: ['--dry-run'] }, fact('git', ['push', '--force', '--dry-run'])))
  t.ok(fits({ option: ['/delete'] }, fact('net', ['user', 'bob', '/DELETE'])))
})

t.test('cases make a decision stricter, never more lenient', async t => {
  const one = rule([{ verb: ['x'] }], {
    decision: 'confirm',
    cases: [
      { environment: 'production', decision: 'deny' },
      { environment: 'lab', decision: 'allow' },
      { moreTargetsThan: 5, decision: 'deny' },
    ],
  })
  t.equal(decisionOf(one, {}), 'confirm')
  t.equal(decisionOf(one, { environment: 'production' }), 'deny')
  t.equal(decisionOf(one, { environment: 'lab' }), 'confirm')
  t.equal(decisionOf(one, { targets: 5 }), 'confirm')
  t.equal(decisionOf(one, { targets: 6 }), 'deny')
})

t.test('rules of the house replace the shipped ones', async t => {
  const rules = { version: 'house-1', rules: [rule([{ verb: ['deploy'] }])] }
  t.match(await judge({ shell: 'posix', command: 'sudo deploy now', rules }), { decision: 'deny', rule: 'own' })
  t.match(await judge({ shell: 'posix', command: 'rm -rf /', rules }), { decision: 'allow', rule: null })
})

t.test('of rules equally strict the first is named', async t => {
  const rules = {
    version: '1',
    rules: [
      rule([{ verb: ['a'] }], { id: 'one', decision: 'confirm' }),
      rule([{ verb: ['b'] }], { id: 'two' }),
      rule([{ verb: ['b'] }], { id: 'three' }),
    ],
  }
  t.match(await judge({ shell: 'posix', command: 'a; b', rules }), { decision: 'deny', rule: 'two' })
})

t.test('more facts than are kept is more than is looked at', async t => {
  const session: Session = { budget: createBudget(), facts: [], later: [] }
  for (let count = 0; count < 500; count += 1) emit(session, fact('ls'))
  t.equal(session.budget.exceeded, 'more commands than are looked at')
})
