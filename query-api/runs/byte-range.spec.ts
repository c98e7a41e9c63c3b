import t from 'tap'
import { byteRange } from './byte-range.ts'

t.test('a range is what RFC 9110 says it is', async t => {
  const of = (header: string | undefined) => byteRange(header, 100)
  t.same(of('bytes=0-9'), { from: 0, to: 10 })
  t.same(of('bytes=90-'), { from: 90, to: 100 })
  t.same(of('bytes=90-1000'), { from: 90, to: 100 })
  t.same(of('bytes=-7'), { from: 93, to: 100 })
  t.same(of('bytes=-700'), { from: 0, to: 100 })
  t.same(of('Bytes=99-99'), { from: 99, to: 100 })
})

t.test('what lies behind the end cannot be had', async t => {
  for (const header of ['bytes=100-', 'bytes=100-200', 'bytes=-0']) t.equal(byteRange(header, 100), 'unsatisfiable')
  for (const header of ['bytes=0-', 'bytes=-1']) t.equal(byteRange(header, 0), 'unsatisfiable')
})

t.test('anything else is answered with the whole', async t => {
  for (const header of [undefined, '', 'bytes=', 'bytes=-', 'bytes=9-3', 'bytes=0-1,5-6', 'lines=1-2', 'bytes=a-b'])
    t.equal(byteRange(header, 100), undefined, String(header))
})
