import t from 'tap'
import { labelExpression, matchesLabels, parseLabelExpression } from './label-expression.ts'

const web = { env: 'prod', role: 'web', owner: '' }

function matches(text: string): boolean {
  const requirements = parseLabelExpression(text)
  if (!requirements) throw new Error(`does not parse: ${text}`)
  return matchesLabels(requirements, web)
}

t.test('what matches a production web server', async t => {
  for (const text of [
    'env=prod',
    'env==prod',
    'role in (web, db)',
    'role notin (db)',
    'owner',
    '!legacy',
    'tier!=canary',
    'env=prod,role=web,!legacy',
    'owner=',
  ]) {
    t.ok(matches(text), text)
  }
})

t.test('what does not', async t => {
  for (const text of [
    'env=dev',
    'env!=prod',
    'role in (db)',
    'role notin (web,db)',
    '!owner',
    'legacy',
    'env=prod,role=db',
  ]) {
    t.notOk(matches(text), text)
  }
})

t.test('an inherited property is no tag', async t => t.notOk(matches('constructor')))

t.test('what is refused', async t => {
  for (const text of [
    '',
    ',',
    'env=prod,',
    'env = = prod',
    'role in web',
    'role in (we b)',
    'Env=prod',
    '!',
    'a=b;c',
    'env=$(id)',
  ]) {
    t.notOk(labelExpression.safeParse(text).success, text)
  }
})
