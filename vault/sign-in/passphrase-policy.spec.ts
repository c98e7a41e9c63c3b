import t from 'tap'
import { normalLogin } from './login-index.ts'
import { passphraseProblems } from './passphrase-policy.ts'

const ofAnn = ['ann.example@firm.org', 'Ann Example', 'ann.example@firm.org']
const problems = (passphrase: string, context: readonly string[] = ofAnn) => passphraseProblems(passphrase, context)

t.test('abuse 20: fifteen characters, any of them, and as many more as one likes', async t => {
  for (const good of [
    'four rusty lanterns under water',
    'tulpen bij maanlicht drinken',
    'zwölf Boxkämpfer jagen',
    '我喜欢在雨中慢慢地走路回家看书喝茶',
    'xkq vbr mtw plz jhn',
    'a1!a1!b2?b2?c3:c3:d',
    'v'.concat('iolet otters juggle ', 'quietly behind seven moons '.repeat(8)),
  ])
    t.same(problems(good), [], good)
  t.match(problems('lantern rusty9'), ['it needs at least 15 characters'])
  t.equal(problems('lantern rusty 9').length, 0, 'fifteen are enough')
  t.match(problems('😀😃😄😁😆😅😂'), ['it needs at least 15 characters'], 'a character is not a code unit')
})

t.test('abuse 20: the common ones are refused, however they are dressed up', async t => {
  for (const bad of [
    'correct horse battery staple',
    'CorrectHorseBatteryStaple',
    'passwordpassword',
    'P@ssw0rdP@ssw0rd',
    '123456789012345',
    '1234567890123456',
    'qwertyuiopasdfgh',
    'QWERTYUIOPASDFGHJKL',
    'aaaaaaaaaaaaaaaaaaaa',
    'abcabcabcabcabc',
    'abcdefghijklmnopqrs',
    'thequickbrownfoxjumpsoverthelazydog',
    'let me in please let me in',
    'Welcome123Welcome123',
    'summer2025summer2025',
    'administrator123',
  ])
    t.ok(problems(bad).length > 0, bad)
})

t.test('abuse 20: what the context gives away is refused', async t => {
  for (const bad of [
    'ann.example@firm.org',
    'Ann Example firm 1',
    'opsconductor 2026',
    'OpsConductorAnn1',
    'example-ann-firm',
  ])
    t.ok(problems(bad).length > 0, bad)
  t.same(problems('opsconductor lantern rusty'), [], 'a name may be part of it')
  t.notMatch(problems('ann.example@firm.org').join(), 'ann', 'and is not repeated')
})

t.test('abuse 17: names that look the same to people are one', async t => {
  const one = normalLogin('ann@example.org')
  for (const variant of [
    'ANN@EXAMPLE.ORG',
    ' ann@example.org\t',
    'Ａnn@example.org',
    'ann@example.org\u00a0',
    'ann@ｅxample.org',
  ])
    t.equal(normalLogin(variant), one, variant)
  t.not(normalLogin('аnn@example.org'), one, 'a Cyrillic letter is another letter')
  t.equal(normalLogin('J  Doe'), normalLogin('j doe'))
})
