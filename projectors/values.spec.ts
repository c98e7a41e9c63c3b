import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { arrayLiteral, jsonList } from './values.ts'

/** Reads an array literal of text the way the Postgres manual says (section 8.15.6). */
function parseLiteral(literal: string): Array<string | null> {
  const elements = literal.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^,]+/gs) ?? []
  return elements.map(element => {
    if (element === 'NULL') return null
    return element.startsWith('"') ? element.slice(1, -1).replace(/\\(.)/gs, '$1') : element
  })
}

t.test('any text survives the way through an array literal', async () =>
  fc.assert(
    fc.property(fc.array(fc.option(fc.string({ unit: 'binary' })), { minLength: 1 }), texts => {
      const stored = texts.map(text => text?.replaceAll('\0', '\ufffd') ?? null)
      assert.deepEqual(parseLiteral(arrayLiteral('text', texts)), stored)
    }),
  ),
)

t.test('any JSON survives between separators', async () =>
  fc.assert(
    fc.property(fc.array(fc.json({ stringUnit: 'grapheme' }), { minLength: 1 }), documents => {
      const values = documents.map(text => JSON.parse(text)).map(value => (value === null ? undefined : value))
      const parts = jsonList(values).split('\u001e')
      assert.deepEqual(
        parts.map(part => (part === '' ? undefined : JSON.parse(part))),
        values,
      )
    }),
  ),
)

t.test('what Postgres cannot store is replaced, nothing else', async t => {
  t.equal(arrayLiteral('text', ['a\0b', '\ud800x', '😀']), '{a\ufffdb,\ufffdx,😀}')
  t.equal(jsonList([{ a: '\0', b: '\ud83d', c: '😀\\u0000' }]), '{"a":"\ufffd","b":"\ufffd","c":"😀\\\\u0000"}')
  t.equal(arrayLiteral('bigint', [1n, null, '3']), '{1,NULL,3}')
  t.equal(jsonList([null, undefined, {}]), '\u001e\u001e{}')
})
