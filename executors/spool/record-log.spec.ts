import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { encodeRecord, scanRecords } from './record-format.ts'
import { RecordLog, SpoolDamaged } from './record-log.ts'

const options = { onFull: () => undefined, onFatal: (error: Error) => t.fail(error.message) }
const text = (records: Array<{ payload: Buffer }>) => records.map(each => each.payload.toString())

t.test('what was appended is there again, and can be read by its place', async t => {
  const file = path.join(t.testdir(), 'a.log')
  const { log, records } = RecordLog.open(file, options)
  t.same(records, [])
  const refs = ['one', 'two', 'three'].map(each => log.append(Buffer.from(each)))
  await Promise.all([log.flush(), log.flush()])
  t.equal(log.unwritten, 0)
  t.equal((await log.read(refs[1] ?? { offset: 0, length: 0 })).toString(), 'two')
  await log.close()
  const again = RecordLog.open(file, options)
  t.same(text(again.records), ['one', 'two', 'three'])
  again.log.append(Buffer.from('four'))
  await again.log.close()
  t.equal(readFileSync(file).length, again.log.size)
  const third = RecordLog.open(file, options)
  t.same(text(third.records), ['one', 'two', 'three', 'four'])
  await third.log.close()
})

t.test('cut at any byte, the complete records before the cut are left', async t => {
  const names = ['one', 'two', 'three']
  const encoded = names.map(each => encodeRecord(Buffer.from(each), 0))
  const whole = Buffer.concat(encoded)
  const file = path.join(t.testdir(), 'a.log')
  for (let cut = 0; cut <= whole.length; cut += 1) {
    writeFileSync(file, whole)
    truncateSync(file, cut)
    const { log, records } = RecordLog.open(file, options)
    let complete = 0
    let end = 0
    for (const record of encoded) {
      if (end + record.length > cut) break
      end += record.length
      complete += 1
    }
    t.same(text(records), names.slice(0, complete), `cut at ${cut}`)
    log.append(Buffer.from('next'))
    await log.close()
    const again = RecordLog.open(file, options)
    t.same(text(again.records), [...names.slice(0, complete), 'next'])
    await again.log.close()
  }
})

t.test('a flipped bit, zeros or garbage in the last write leave what is before it', async t => {
  const first = encodeRecord(Buffer.from('one'), 0)
  const last = encodeRecord(Buffer.from('two'), 0)
  for (let bit = 0; bit < last.length * 8; bit += 1) {
    const flipped = Buffer.from(last)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const scan = scanRecords(Buffer.concat([first, flipped]))
    t.match(scan, { end: first.length, damagedAt: undefined }, `bit ${bit}`)
  }
  t.match(scanRecords(Buffer.concat([first, Buffer.alloc(4096)])), { end: first.length, damagedAt: undefined })
  t.match(scanRecords(Buffer.concat([first, Buffer.from('garbage, not a record')])), { end: first.length })
  t.match(scanRecords(Buffer.concat([first, Buffer.alloc(30), last])), { end: first.length, damagedAt: undefined })
})

t.test('damage to what was durable is refused with its place', async t => {
  const file = path.join(t.testdir(), 'a.log')
  const { log } = RecordLog.open(file, options)
  const ref = log.append(Buffer.from('one'))
  await log.flush()
  log.append(Buffer.from('two'))
  await log.close()
  const bytes = readFileSync(file)
  bytes[ref.offset] = 0
  writeFileSync(file, bytes)
  t.throws(() => RecordLog.open(file, options), SpoolDamaged)
  t.throws(() => RecordLog.open(file, options), /damaged at byte 0;/)
})

t.test('a failed write is told and nothing is promised any more', async t => {
  const fatal: Error[] = []
  const file = path.join(t.testdir(), 'a.log')
  const opened = RecordLog.open(file, { onFull: () => undefined, onFatal: error => fatal.push(error) })
  opened.log.append(Buffer.from('one'))
  await opened.log.close()
  opened.log.append(Buffer.from('two'))
  await t.rejects(opened.log.flush())
  t.throws(() => opened.log.append(Buffer.alloc(0)), RangeError)
})
