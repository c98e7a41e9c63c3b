import fc from 'fast-check'
import t from 'tap'
import { pieces } from '../../test/support/pieces.ts'
import { type Announcement, MarkerFilter } from './marker.ts'

const filtered = (parts: Buffer[]) => {
  const found: Announcement[] = []
  const filter = new MarkerFilter('opsc-77', announcement => found.push(announcement))
  const output = Buffer.concat([...parts.map(part => filter.push(part)), filter.end()]).toString()
  return { output, found }
}
const whole = (text: string) => filtered([Buffer.from(text)])

t.test('the line is cut out, wherever the stream was split', async t => {
  const text = 'motd opsc-\nopsc-77 pgid=12 pid=12 start=8812 dir=/tmp/opsc.aB3dE\nout opsc-77 pgid=1 pid=1\nopsc'
  const expected = {
    output: 'motd opsc-\nout opsc-77 pgid=1 pid=1\nopsc',
    found: [{ pgid: 12, pid: 12, start: '8812', folder: '/tmp/opsc.aB3dE' }],
  }
  t.same(whole(text), expected)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 }), cuts => {
      return JSON.stringify(filtered(pieces(Buffer.from(text), cuts))) === JSON.stringify(expected)
    }),
    { numRuns: 500, seed: 1 },
  )
})

t.test('the start is told in the words of the target, or not at all', async t => {
  t.same(whole('opsc-77 pgid=7 pid=8 start=Sat_Nov_21_16:49:20_2026\n').found, [
    { pgid: 7, pid: 8, start: 'Sat_Nov_21_16:49:20_2026' },
  ])
  t.same(whole('opsc-77 pgid=7 pid=8 start=\n').found, [{ pgid: 7, pid: 8 }])
  t.same(whole('opsc-77 pgid=7 pid=8\n').found, [{ pgid: 7, pid: 8 }])
})

t.test('what is no such line passes', async t => {
  t.same(whole('nothing here opsc-7'), { output: 'nothing here opsc-7', found: [] })
  t.same(whole('opsc-77 pgid=x pid=1\nrest'), { output: 'opsc-77 pgid=x pid=1\nrest', found: [] })
  t.same(whole('opsc-77 pgid=1 pid=1 dir=/etc\n').found, [], 'only a folder of its own name is ever removed')
  t.equal(whole(`opsc-77 ${'x'.repeat(2000)}`).output.length, 2008, 'a line without end is not held for ever')
})
