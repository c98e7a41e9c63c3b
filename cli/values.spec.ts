import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { UsageError } from './errors.ts'
import { readObject } from './values.ts'

const dir = mkdtempSync(join(tmpdir(), 'opsc-yaml-'))
t.teardown(() => rmSync(dir, { recursive: true, force: true }))
const file = join(dir, 'given.yaml')
function read(text: string): Record<string, unknown> {
  writeFileSync(file, text)
  return readObject(file)
}

t.test('abuse 44: a file of YAML is data, however it is written', async t => {
  t.same(read('a: [1, {b: c}]'), { a: [1, { b: 'c' }] })
  const tagged = [
    '!!js/function "function () { throw 1 }"',
    '!!js/undefined ""',
    '!!python/object/apply:os.system [id]',
  ]
  const warn = process.emitWarning
  t.teardown(() => {
    process.emitWarning = warn
  })
  process.emitWarning = () => undefined
  for (const text of tagged) {
    const { a } = read(`a: ${text}`)
    t.ok(typeof a === 'string' || Array.isArray(a), `${text} is its text: ${JSON.stringify(a)}`)
  }
  t.same(Object.keys(read('base: &b {x: 1}\nmine:\n  <<: *b')), ['base', 'mine'])
  t.same(read('base: &b {x: 1}\nmine:\n  <<: *b').mine, { '<<': { x: 1 } }, 'nothing is merged')
  const poisoned = read('__proto__: {admin: true}\nconstructor: {prototype: {admin: true}}')
  const plain: Record<string, unknown> = {}
  t.equal(plain.admin, undefined)
  t.equal(Object.getPrototypeOf(poisoned), Object.prototype)
})

t.test('abuse 44: few lines do not become many gigabytes, and a mistake is not repeated', async t => {
  const levels = Array.from({ length: 12 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}*a${n}]`)
  const began = performance.now()
  t.throws(() => read(['a0: &a0 [lol]', ...levels].join('\n')), UsageError)
  t.ok(performance.now() - began < 2_000)
  for (const text of ['[1]', 'text', '', '- a']) t.throws(() => read(text), /must hold an object/)
  try {
    read('password: "hunter2\nname: [')
    t.fail('it is not valid')
  } catch (error) {
    t.match(error, UsageError)
    t.match(String(error), /is not valid YAML or JSON: .*line \d/)
    t.notMatch(String(error), 'hunter2')
  }
})
