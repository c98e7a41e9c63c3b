import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { certificateFileOf, nodeIdentity, selfSigned } from '../tls/certificate.ts'
import { encodeRecorded } from '../wire/recorded-event.ts'
import { EventStore } from './event-store.ts'
import { openStore } from './open.ts'
import { processIdentity } from './process-identity.ts'
import { PAGE_EVENTS, Reader } from './reader.ts'
import { RecentIds } from './recent-ids.ts'
import { checkRecords } from './records.ts'
import { firstVisible, isSoftDeleted, oldestVisible, parseMetadata, truncatedMetadata } from './stream-metadata.ts'
import type { Tables } from './tables.ts'

const SOFT_DELETED = Buffer.from('{"$tb":9223372036854775807}')

const recorded = (data: Buffer) => {
  const event = {
    id: 'c0000000-0000-4000-8000-000000000000',
    type: 'T',
    contentType: '',
    metadata: Buffer.alloc(0),
    data,
  }
  return encodeRecorded(event, { stream: Buffer.from('s'), revision: 0, position: 0, created: '1' })
}

function temporary(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'opsc-events-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function store(t: Test): Promise<{ store: EventStore; reader: Reader; tables: Tables }> {
  const { state, close } = await openStore(temporary(t))
  t.teardown(close)
  const opened = new EventStore(state, error => t.fail(String(error)))
  return { store: opened, reader: new Reader(state.tables, () => state.durableEnd), tables: state.tables }
}

let ids = 0
const proposals = (count: number) =>
  Array.from({ length: count }, () => ({
    id: `c0000000-0000-4000-8000-${String(ids++).padStart(12, '0')}`,
    type: 'T',
    contentType: 'application/json',
    metadata: Buffer.alloc(0),
    data: Buffer.from('{}'),
  }))

t.test('stream metadata limits what is seen', async t => {
  const parse = (text: string) => parseMetadata(recorded(Buffer.from(text)))
  t.equal(firstVisible(parse('{"$maxCount":3}'), 9), 7)
  t.equal(firstVisible(parse('{"$tb":8,"$maxCount":3}'), 9), 8)
  t.equal(firstVisible(parse('{"$maxCount":30}'), 9), 0)
  t.equal(firstVisible(parse(SOFT_DELETED.toString()), 9), 10)
  t.ok(isSoftDeleted(parse(SOFT_DELETED.toString())))
  t.equal(oldestVisible(parse('{"$maxAge":10}'), 60_000), 50_000 * 10_000)
  t.equal(oldestVisible(parse('{}'), 60_000), 0)
  for (const useless of ['', 'no json', '[1]', 'null', '{"$maxCount":"3","$tb":-1}'])
    t.same(parse(useless), {}, useless)
  t.same(
    truncatedMetadata({ $maxCount: 2, $tb: 1, owner: 'ops' }, 5).toString(),
    '{"$maxCount":2,"owner":"ops","$tb":5}',
  )
  t.same(truncatedMetadata({}, 'deleted'), SOFT_DELETED)
})

t.test('events too old are passed over, in pages too', async t => {
  const { store: events, reader } = await store(t)
  await events.append('s', 'any', proposals(PAGE_EVENTS + 10))
  const metadata = proposals(1).map(event => ({ ...event, data: Buffer.from('{"$maxAge":60}') }))
  await events.append('$$s', 'any', metadata)
  const now = reader.stream('s', Date.now())
  t.equal(reader.streamForwards(now, 0).events.length, PAGE_EVENTS)
  const later = reader.stream('s', Date.now() + 120_000)
  const page = reader.streamForwards(later, 0)
  t.match(page, { events: [], next: PAGE_EVENTS, done: false })
  t.match(reader.streamForwards(later, page.next), { events: [], done: true })
})

t.test('only the latest ids are remembered', async t => {
  const recent = new RecentIds(2)
  for (const [position, id] of ['a', 'b', 'c'].entries())
    recent.remember(id, { stream: 's', revision: position, position })
  t.equal(recent.get('a'), undefined)
  t.match(recent.get('c'), { position: 2 })
  recent.forgetFrom(2)
  t.equal(recent.get('c'), undefined)
  t.match(recent.get('b'), { position: 1 })
})

t.test('the check of all records finds what does not fit', async t => {
  const { store: events, tables } = await store(t)
  await events.append('left', 'any', proposals(3))
  await events.append('right', 'any', proposals(3))
  await events.tombstone('right', 'any')
  const positions = [...tables.events.getKeys({})]
  const problemsAfter = async (damage: () => Promise<unknown>, repair: () => Promise<unknown>) => {
    await damage()
    const { problems } = checkRecords(tables)
    await repair()
    t.same(checkRecords(tables).problems, [])
    return problems.join('; ')
  }
  const second = positions[1] ?? 0
  const sealed = tables.events.get(second) ?? Buffer.alloc(0)
  const found = {
    'a missing event': await problemsAfter(
      () => tables.events.remove(second),
      () => tables.events.put(second, sealed),
    ),
    'an event in the wrong place': await problemsAfter(
      () => tables.events.put(second, tables.events.get(0) ?? sealed),
      () => tables.events.put(second, sealed),
    ),
    'an index entry gone': await problemsAfter(
      () => tables.index.remove([1, 1]),
      () => tables.index.put([1, 1], second),
    ),
    'an index entry wrong': await problemsAfter(
      () => tables.index.put([1, 1], 0),
      () => tables.index.put([1, 1], second),
    ),
    'a stream forgotten': await problemsAfter(
      () => tables.streams.remove('left'),
      () => tables.streams.put('left', { number: 1 }),
    ),
    'a row that is none': await problemsAfter(
      () => tables.streams.put('left', { number: -1 }),
      () => tables.streams.put('left', { number: 1 }),
    ),
  }
  t.match(found, {
    'a missing event': /is missing/,
    'an event in the wrong place': /belongs at 0/,
    'an index entry gone': /has no revision 1/,
    'an index entry wrong': /does not lead to revision 1/,
    'a stream forgotten': /is unknown/,
    'a row that is none': /is not one/,
  })
})

t.test('a head that leads elsewhere refuses the append', async t => {
  const { store: events, tables } = await store(t)
  await events.append('left', 'any', proposals(2))
  await events.append('right', 'any', proposals(1))
  await tables.streams.put('third', { number: 1 })
  await t.rejects(events.append('third', 'any', proposals(1)), {
    name: 'DamagedStore',
    message: /the index leads from 1@third/,
  })
})

t.test('a closing store takes nothing more', async t => {
  const { store: events } = await store(t)
  const last = events.append('s', 'any', proposals(1))
  await events.commits.close()
  t.match(await last, { kind: 'done', revision: 0 })
  await t.rejects(events.append('s', 'any', proposals(1)), { name: 'StoreClosed' })
  await t.rejects(events.softDelete('s', 'any'), { name: 'StoreClosed' })
  await t.rejects(events.tombstone('s', 'any'), { name: 'StoreClosed' })
})

t.test('a process is told from one that is gone', async t => {
  t.match(processIdentity(process.pid), new RegExp(`^${process.pid}`))
  t.equal(processIdentity(process.pid), processIdentity(process.pid))
  t.not(processIdentity(process.ppid), processIdentity(process.pid))
  t.equal(processIdentity(2 ** 22 + 1), undefined)
})

t.test('the node has a certificate for its address, kept until it is no use', async t => {
  const folder = temporary(t)
  const first = nodeIdentity(folder, '127.0.0.1')
  const certificate = new X509Certificate(first.certificate)
  t.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1')
  t.ok(certificate.verify(certificate.publicKey))
  t.same(nodeIdentity(folder, '127.0.0.1'), first)
  const renamed = nodeIdentity(folder, 'node.example')
  t.notSame(renamed.certificate, first.certificate)
  t.equal(new X509Certificate(renamed.certificate).checkHost('node.example'), 'node.example')
  const inTenYears = new Date(Date.now() + 3649 * 86_400_000)
  t.notSame(nodeIdentity(folder, 'node.example', inTenYears).certificate, renamed.certificate)
  writeFileSync(certificateFileOf(folder), 'no certificate')
  t.match(nodeIdentity(folder, '127.0.0.1').certificate.toString(), /BEGIN CERTIFICATE/)
  t.match(readFileSync(join(folder, 'node.key'), 'utf8'), /BEGIN PRIVATE KEY/)
  t.ok(new X509Certificate(selfSigned('a.example', new Date()).certificate).checkHost('a.example'))
})
