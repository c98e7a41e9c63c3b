import { EvaluationError, evaluate as evaluateByLibrary } from '@marcbachmann/cel-js'
import fc from 'fast-check'
import t from 'tap'
import { compile, evaluate } from './expression.ts'
import { patternProblem } from './pattern.ts'
import { compileTemplate, partsOf, renderText } from './template.ts'
import { TemplateError } from './template-error.ts'
import { fromJson, toJson, type Value, type ValueMap } from './value.ts'

const names: ValueMap = {
  params: { name: 'web-1', count: 3n, ratio: 0.5, whole: 2, hosts: ['a', 'b', 'cc'], empty: [], on: true },
  steps: { 'a-b': { outcome: 'succeeded', outputs: { v: '5.10', n: null, deep: { x: [1n, 2n] } } } },
}
const value = (source: string, scope: ValueMap = names) => evaluate(compile(source), scope)

const values: Array<[string, Value]> = [
  ['params.name + "!"', 'web-1!'],
  ['params.count * 2 + 1', 7n],
  ['params.count / 2', 1n],
  ['params.ratio * 2.0', 1],
  ['params.whole / 4.0', 0.5],
  ['params.count == 3.0 && 1 < 1.5', true],
  ['"b" in params.hosts && !("z" in params.hosts)', true],
  ['"v" in steps["a-b"].outputs', true],
  ['params.hosts.filter(h, size(h) > 1).map(h, h + ".x")', ['cc.x']],
  ['params.hosts.map(h, h != "b", h)', ['a', 'cc']],
  ['params.hosts.all(h, h != "") && params.hosts.exists_one(h, h == "a")', true],
  ['params.empty.exists(x, true) || params.empty.all(x, false)', true],
  ['params.hosts.join(",") + params.hosts.join()', 'a,b,ccabcc'],
  ['[1, true, "x"].join(" ")', '1 true x'],
  ['"a,b".split(",")[1]', 'b'],
  ['has(params.name) && !has(params.nothing)', true],
  ['has(steps["a-b"].outputs.v)', true],
  ['steps["a-b"].outputs.deep.x[1]', 2n],
  ['params.on ? "yes" : "no"', 'yes'],
  ['"web-12".matches("^web-[0-9]+$")', true],
  ['" x ".trim() + "Ab".lowerAscii() + "Ab".upperAscii()', 'xabAB'],
  ['"abcb".indexOf("b") + "abcb".lastIndexOf("b")', 4n],
  ['"abc".substring(1) + "abc".substring(0, 1)', 'bca'],
  ['"a-b-c".replace("-", "+")', 'a+b+c'],
  ['"abc".startsWith("a") && "abc".endsWith("c") && "abc".contains("b")', true],
  ['int("12") + int(3.9)', 15n],
  ['double("1.5") + double(1)', 2.5],
  ['string(12) + string(true)', '12true'],
  ['bool("false")', false],
  ['size({"a": 1}) + size("é☃𝒳") + params.hosts.size()', 7n],
  ['json({"a": [1, "x", 1.5, null]})', '{"a":[1,"x",1.5,null]}'],
  ['urlEncode("a b/é")', 'a%20b%2F%C3%A9'],
  ['dyn(1) == dyn("1") || {"a": [1]} == {"a": [1.0]}', true],
  ['-params.count - -1', -2n],
  ['{"a": 1}.map(k, k)', ['a']],
  ['params.nothing || true', true],
  ['!(false && params.nothing == 1)', true],
  ["r'\\d' + '''x'''", '\\dx'],
  ['7 % 4 > 2 && 7.5 >= 7 && "a" <= "b" && !(true < false) && [1] + [2] == [1, 2] && 1 != 2', true],
]
t.test('expressions and what they are worth', async t => {
  for (const [source, expected] of values) t.strictSame(value(source), expected, source)
})

const failures: Array<[string, RegExp]> = [
  ['params.nothing', /there is no nothing, in params.nothing/],
  ['nothing', /there is no nothing here/],
  ['params.hosts[9]', /there is no 9/],
  ['params.hosts["x"]', /list has no string in it/],
  ['params.name.x', /string has no string in it/],
  ['1 / 0', /division by zero/],
  ['1 % 0', /division by zero/],
  ['9223372036854775807 + 1', /out of range/],
  ['-(-9223372036854775807 - 1)', /out of range/],
  ['params.name + 1', /\+ is not for string and int/],
  ['1.5 % 2.0', /% is not for/],
  ['-"x"', /- is not for string/],
  ['"a" < 1', /< is not for string and int/],
  ['1 in 2', /in is not for int and int/],
  ['!1', /int where true or false/],
  ['1 ? 2 : 3', /int where true or false/],
  ['params.nothing || false', /there is no nothing/],
  ['[1].all(x, x.y)', /int has no string/],
  ['params.name.map(x, x)', /goes over a list, not over string/],
  ['int("x")', /int\(\) is not for string/],
  ['double("x")', /double\(\) is not for string/],
  ['bool("x")', /bool\(\) is not for string/],
  ['string([1])', /string\(\) is not for list/],
  ['size(1)', /size is not for int/],
  ['[[1]].join()', /lists of plain values/],
  ['"x".join()', /join is not for string/],
  ['"abc".substring(5)', /beyond the ends/],
  ['"abc".substring("x")', /substring is not for/],
  ['"x".replace("x", 1)', /replace is not for/],
  ['"x".matches("(")', /matches: /],
  ['"x".matches(1)', /matches is not for/],
  ['(1).trim()', /trim is not for int/],
  ['{1: 2}', /keys of maps are strings/],
]
t.test('expressions that have no value say why', async t => {
  for (const [source, message] of failures)
    t.throws(() => value(source), { name: 'TemplateError', class: 'invalid-template', message }, source)
})

const unreadable: Array<[string, RegExp]> = [
  ['1 +', /Unexpected token: EOF/],
  ['a.?b', /./],
  ['b"x"', /bytes and unsigned numbers/],
  ['1u', /bytes and unsigned numbers/],
  ['cel.bind(a, 1, a)', /there is no function \.bind\(\)/],
  ['timestamp("2030-01-01T00:00:00Z")', /there is no function timestamp\(\)/],
  ['"x".constructor("y")', /there is no function \.constructor\(\)/],
  ['['.repeat(100), /./],
  [`${'1 + '.repeat(600)}1`, /./],
]
t.test('what is no expression, or uses what is not offered, is refused when it is read', async t => {
  for (const [source, message] of unreadable)
    t.throws(() => compile(source), { name: 'TemplateError', message }, source)
})

t.test('names of JavaScript are not there', async t => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.throws(() => value(name), TemplateError)
    t.throws(() => value(`params.${name}`), TemplateError)
    t.equal(value(`has(params.${name})`), false)
  }
})

t.test('no expression takes long or makes much, whatever the values', async t => {
  const long = Array.from({ length: 1_000 }, (_, i) => `x${i}`)
  const scope = { params: { l: long, s: 'x'.repeat(8_192) } }
  const costly = [
    'params.l.all(a, params.l.all(b, params.l.all(c, true)))',
    'params.l.map(a, params.l.map(b, params.l.map(c, c)))',
    'params.l.map(a, params.l.map(b, params.s).join()).join()',
    `params.l.map(a, ${Array(50).fill('params.s').join(' + ')})`,
    'params.l.map(a, params.l == params.l)',
    'params.l.exists(a, params.s.matches("(x+x+)+y{1,99}"))',
    'params.l.map(a, params.s.split("").join("-")).join("x")',
    'params.l.filter(a, params.s.replace("x", params.s) != "")',
    'params.l.all(a, params.l.exists(b, a == b + "y") || true || params.l.all(c, true))',
  ]
  for (const source of costly) {
    const began = process.hrtime.bigint()
    t.throws(() => value(source, scope), { name: 'TemplateError', message: /too much/ }, source)
    const ms = Number(process.hrtime.bigint() - began) / 1e6
    t.ok(ms < 1_000, `${source}: ${ms} ms`)
  }
  t.equal(value('size(params.l.filter(a, a.endsWith("7")))', scope), 100n)
})

t.test('patterns are linear and bounded', async t => {
  t.equal(patternProblem('(x+x+)+y'), undefined)
  t.equal(patternProblem('[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'), undefined)
  for (const source of ['(?=x)', '\\1', '(', `(${'abcdefgh'.repeat(55)}){1000}`, '(?:.?){1000}(?:.?){1000}'])
    t.ok(patternProblem(source), source)
})

/** Expressions over a few names, without errors of types that the two would word differently. */
const { expr } = fc.letrec<{ expr: string; num: string; text: string; bool: string; list: string }>(tie => ({
  num: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('1', '2', '3', 'i'),
    fc.tuple(tie('num'), fc.constantFrom('+', '-', '*'), tie('num')).map(([a, o, b]) => `(${a} ${o} ${b})`),
    tie('list').map(l => `size(${l})`),
  ),
  text: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('"a"', '"bc"', 's'),
    fc.tuple(tie('text'), tie('text')).map(([a, b]) => `(${a} + ${b})`),
    tie('list').map(l => `${l}.join("-")`),
    fc.tuple(tie('bool'), tie('text'), tie('text')).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
  ),
  bool: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('true', 'false', 'f'),
    fc.tuple(tie('bool'), fc.constantFrom('&&', '||'), tie('bool')).map(([a, o, b]) => `(${a} ${o} ${b})`),
    tie('bool').map(b => `!${b}`),
    fc
      .tuple(tie('num'), fc.constantFrom('<', '<=', '==', '!=', '>', '>='), tie('num'))
      .map(([a, o, b]) => `(${a} ${o} ${b})`),
    fc.tuple(tie('text'), tie('list')).map(([a, l]) => `(${a} in ${l})`),
    fc
      .tuple(tie('list'), fc.constantFrom('all', 'exists', 'exists_one'), tie('text'))
      .map(([l, m, a]) => `${l}.${m}(x, x != ${a})`),
    fc.tuple(tie('list'), tie('list')).map(([a, b]) => `(${a} == ${b})`),
  ),
  list: fc.oneof(
    { depthSize: 'small' },
    fc.constant('l'),
    fc.array(tie('text'), { minLength: 1, maxLength: 3 }).map(a => `[${a.join(', ')}]`),
    fc.tuple(tie('list'), tie('text')).map(([l, a]) => `${l}.map(x, x + ${a})`),
    fc.tuple(tie('list'), tie('text')).map(([l, a]) => `${l}.filter(x, x != ${a})`),
  ),
  expr: fc.oneof(tie('num'), tie('text'), tie('bool'), tie('list')),
}))
t.test('an expression is worth what the library says it is', async t => {
  const scope = { i: 5n, s: 'a', f: false, l: ['a', 'b'] }
  let compared = 0
  const check = (source: string) => {
    const theirs = byLibrary(source, scope)
    if (theirs === undefined) return
    compared += 1
    t.strictSame(evaluate(compile(source), scope), theirs, source)
  }
  fc.assert(fc.property(expr, check), { numRuns: 400, seed: 3 })
  t.ok(compared > 200, `${compared} were compared`)
})

/** Undefined where the types of the library do not get along, as those of a list and of a mapped one. */
function byLibrary(source: string, scope: object): unknown {
  try {
    return evaluateByLibrary(source, { ...scope })
  } catch (error) {
    if (error instanceof EvaluationError) return undefined
    throw error
  }
}

t.test('JSON goes in and comes out as it was', async t => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), json =>
      t.strictSame(toJson(fromJson(json)), json, JSON.stringify(json)),
    ),
    { seed: 1 },
  )
})

t.test('a template is text and expressions in turn', async t => {
  t.same(partsOf('a ${{ {"b": {"c": "}}"}}.b.c }}d'), [
    { text: 'a ', at: 0 },
    { source: '{"b": {"c": "}}"}}.b.c', at: 2 },
    { text: 'd', at: 31 },
  ])
  const quotes = ['${{ "${{" }}', `${'${{'} '''}}''' + "\\"}}" }}`, '${ x }}'].join(' ')
  t.equal(renderText(quotes, {}), '${{ }}"}} ${ x }}')
  t.equal(renderText('no expressions', {}), 'no expressions')
  t.equal(renderText('${{ params.count }}/${{ params.ratio }}', names), '3/0.5')
  for (const open of ['${{ a', '${{ "a }}', '${{ a } }', '${{ {a }}'])
    t.throws(() => compileTemplate(open), /without its/, open)
  t.throws(() => compileTemplate('${{ }}'), TemplateError)
  t.throws(() => renderText('${{ params.hosts }}', names), /is a list: say how/)
  t.throws(() => renderText('${{ steps["a-b"].outputs.n }}', names), /is a null/)
})
