import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binaryEvent, EventStoreDBClient } from '@eventstore/db-client'
import t, { type Test } from 'tap'
import { said } from '../../../test/support/cli.ts'
import { startEventStore } from '../../../test/support/event-store.ts'
import { eventStore } from './command.ts'
import { collect, fact, facts, refusal, revisionsOf } from './contract/support.ts'
import { appendLoad, readAllLoad } from './load.ts'
import { runEventStoreNode } from './main.ts'
import { backup, stats, verify } from './maintenance.ts'
import { openTables } from './store/tables.ts'

t.setTimeout(120_000)

const client = (t: Test, connectionString: string) => {
  const connected = EventStoreDBClient.connectionString(connectionString)
  t.teardown(() => connected.dispose())
  return connected
}

const temporary = (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'opsc-events-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const blob = (bytes: number) => binaryEvent({ type: 'Blob', data: Buffer.alloc(bytes, 7) })

/** A stopped store with a few thousand events in streams of different lengths. */
async function storeWithEvents(t: Test): Promise<string> {
  const dataDir = temporary(t)
  const node = await runEventStoreNode({ dataDir })
  const connected = client(t, node.connectionString)
  for (let stream = 0; stream < 20; stream++) {
    await connected.appendToStream(`order-${stream}`, facts(50 + stream))
    await connected.appendToStream(`blob-${stream}`, [blob(20), blob(5000)])
  }
  await connected.dispose()
  await node.stop()
  return dataDir
}

t.test('a data folder belongs to one process', async t => {
  const first = await startEventStore(t)
  t.match(await refusal(runEventStoreNode({ dataDir: first.dataDir })), {
    name: 'StoreInUse',
    message: new RegExp(`in use by process ${first.pid}`),
  })
  t.match(await refusal(startEventStore(t, { dataDir: first.dataDir })), { message: /in use by process/ })
  const connected = client(t, first.connectionString)
  await connected.appendToStream('order-1', fact('A'))
  t.equal((await stats(first.dataDir)).usedByPid, first.pid)
  await first.kill9()
  const second = await runEventStoreNode({ dataDir: first.dataDir })
  t.match(await refusal(runEventStoreNode({ dataDir: first.dataDir })), { name: 'StoreInUse' })
  await second.stop()
  t.equal((await stats(first.dataDir)).usedByPid, undefined)
})

t.test('a store that is not whole is refused', async t => {
  const intact = await storeWithEvents(t)
  const size = statSync(join(intact, 'data.mdb')).size
  const damages: Record<string, (file: string) => void> = {
    'cut in half': file => truncateSync(file, size / 2),
    'cut by a page': file => truncateSync(file, size - 4096),
    'cut to nothing': file => truncateSync(file, 0),
    missing: file => rmSync(file),
    'a page zeroed': file => overwrite(file, 4096 * 5, Buffer.alloc(4096)),
    'last commit forgotten': file => overwrite(file, newestMetaAt(file) + 152, Buffer.alloc(8)),
    'a bit of an event flipped': file => flip(file, readFileSync(file).indexOf('"index":7')),
    'not a store': file => writeFileSync(file, Buffer.alloc(8192, 'x')),
  }
  for (const [name, damage] of Object.entries(damages)) {
    const dataDir = temporary(t)
    cpSync(intact, dataDir, { recursive: true })
    damage(join(dataDir, 'data.mdb'))
    t.match(
      await refusal(runEventStoreNode({ dataDir })),
      { name: 'DamagedStore', message: /^the event store in .* is damaged: .+; restore it from a backup$/ },
      name,
    )
    if (name !== 'missing' && name !== 'cut to nothing')
      t.match(await verify(dataDir), { ok: false, problems: [/./] }, name)
  }
  truncateSync(join(intact, 'data.mdb'), size - 4096)
  t.match(await refusal(startEventStore(t, { dataDir: intact })), { message: /ended with 1: .*is damaged/ })
})

t.test('a whole store is said to be whole', async t => {
  const intact = await storeWithEvents(t)
  t.match(await verify(intact), { ok: true, events: 20 * 50 + 190 + 40, streams: 40, problems: [] })
})

t.test('an event damaged under a running node ends the read and is never served', async t => {
  const dataDir = temporary(t)
  const lines: object[] = []
  const node = await runEventStoreNode({ dataDir, log: line => lines.push(line) })
  t.teardown(() => node.stop())
  const connected = client(t, node.connectionString)
  await connected.appendToStream('order-1', facts(5))
  const tables = openTables(dataDir, { readOnly: false })
  const [, , third] = [...tables.events.getKeys({})]
  const sealed = tables.events.get(third ?? 0)
  sealed?.writeUInt8(sealed.readUInt8(sealed.length - 2) ^ 1, sealed.length - 2)
  await tables.events.put(third ?? 0, sealed ?? Buffer.alloc(0))
  const read: unknown[] = []
  const error = await refusal(
    (async () => {
      for await (const event of connected.readStream('order-1')) read.push(event)
    })(),
  )
  t.match(error, { code: 15, message: /damaged: the event at position \d+ fails its checksum/ })
  t.ok(read.length <= 2)
  t.match(await refusal(collect(connected.readAll())), { code: 15 })
  t.match(lines, [{ level: 'error', error: /fails its checksum/ }])
  await tables.events.remove(third ?? 0)
  t.match(await refusal(collect(connected.readAll())), { code: 15, message: /is missing/ })
  t.match(await refusal(collect(connected.readAll({ direction: 'backwards', fromPosition: 'end' }))), { code: 15 })
  await tables.index.remove([1, 3])
  t.match(await refusal(collect(connected.readStream('order-1', { fromRevision: 3n }))), { code: 15 })
})

t.test('a backup of a running node is whole and can be run', async t => {
  const running = await startEventStore(t)
  const connected = client(t, running.connectionString)
  await connected.appendToStream('order-1', facts(100))
  const destination = join(temporary(t), 'copy')
  const writing = Promise.all(Array.from({ length: 20 }, () => connected.appendToStream('order-2', facts(20))))
  const report = await backup(running.dataDir, destination)
  await writing
  t.match(report, { ok: true, problems: [] })
  t.ok(report.events >= 100)
  t.match(await verify(running.dataDir), { ok: true, events: 500 })
  t.match(await refusal(backup(running.dataDir, destination)), { message: /is not empty/ })
  t.match(await refusal(backup(temporary(t), join(temporary(t), 'x'))), { message: /there is no event store/ })
  const restored = await startEventStore(t, { dataDir: destination })
  const fromCopy = client(t, restored.connectionString)
  t.equal((await collect(fromCopy.readStream('order-1'))).length, 100)
  await fromCopy.appendToStream('order-1', fact('Next'), { expectedRevision: 99n })
  t.match(await stats(destination), { events: report.events + 1, first: /^20/, latest: /^20/ })
})

t.test('its operator counts, checks and copies it, while it runs and after', async t => {
  const folder = temporary(t)
  const before = process.env.OPSCONDUCTOR_DATA_DIR
  process.env.OPSCONDUCTOR_DATA_DIR = folder
  t.teardown(() => {
    if (before === undefined) delete process.env.OPSCONDUCTOR_DATA_DIR
    else process.env.OPSCONDUCTOR_DATA_DIR = before
  })
  const run = (...argv: string[]) => said(() => eventStore(argv))
  t.match(await run('stats'), { code: 1, err: /^there is no event store in \S+event-store\n$/ })
  const dataDir = join(folder, 'event-store')
  const node = await startEventStore(t, { dataDir })
  await appendLoad(node.connectionString, { writers: 3, appends: 30, payloadBytes: 40 })
  t.ok((await readAllLoad(node.connectionString)) > 0)
  const counted = await run('stats')
  t.match(counted, { code: 0, out: /^events +31\nstreams +4\n/ })
  t.match(counted.out, new RegExp(`^usedByPid +${node.pid}$`, 'm'))
  const whole = /^events +31\nstreams +4\nend +\d+\nthe store is whole\n$/
  t.match(await run('verify'), { code: 0, out: whole, err: '' })
  const copy = join(folder, 'copies', 'event-store')
  t.match(await run('backup', copy), { code: 0, out: whole })
  t.match(await verify(copy), { ok: true, events: 31 })
  t.match(await run('backup', copy), { code: 1, out: '', err: `${copy} is not empty\n` })
  await node.stop()
  t.match((await run('stats')).out, /^usedByPid +-$/m)
  process.env.OPSCONDUCTOR_DATA_DIR = join(folder, 'copies')
  flip(join(copy, 'data.mdb'), readFileSync(join(copy, 'data.mdb')).indexOf('xxxxxxxx'))
  t.match(await run('verify'), { code: 1, out: /the store is damaged: \d+ problem\(s\)\n$/, err: /./ })
  for (const wrong of [[], ['backup'], ['repair']])
    t.match(await run(...wrong), { code: 2, out: '', err: /eventstore stats[\s\S]*eventstore backup <folder>/ })
})

t.test('kill -9 under 64 writers loses no acknowledged append', { timeout: 120_000 }, async t => {
  const store = await startEventStore(t)
  const acknowledged = new Map<string, number>()
  for (let round = 0; round < 3; round++) {
    const connected = client(t, store.connectionString)
    const killed = new AbortController()
    let appends = 0
    const writers = Array.from({ length: 64 }, (_, writer) =>
      write(`writer-${writer}-${round}`, async (stream, revision) => {
        const expectedRevision = revision === 0 ? 'no_stream' : BigInt(revision - 1)
        await connected.appendToStream(stream, fact('Written', { revision }), { expectedRevision, deadline: 5000 })
        acknowledged.set(stream, revision)
        if (++appends === 1000) void store.kill9().then(() => killed.abort())
      }),
    )
    await Promise.all(writers)
    await store.restart()
    t.ok(killed.signal.aborted)
  }
  const connected = client(t, store.connectionString)
  for (const [stream, last] of acknowledged) {
    const revisions = revisionsOf(await collect(connected.readStream(stream)))
    if (revisions.length < last + 1)
      t.fail(`${stream} lost revisions after ${revisions.length}, ${last} was acknowledged`)
    if (revisions.some((revision, index) => revision !== index)) t.fail(`${stream} has a gap`)
  }
  t.ok(acknowledged.size >= 64 * 3 * 0.9)
  t.match(await verify(store.dataDir), { ok: true })
})

const disk = smallDisk(t, '6m')

t.test(
  'a full disk refuses appends until there is room again',
  { skip: disk ? false : 'no right to mount' },
  async t => {
    const ballast = join(disk ?? '', 'ballast')
    writeFileSync(ballast, Buffer.alloc(3 * 2 ** 20))
    const store = await startEventStore(t, { dataDir: join(disk ?? '', 'events') })
    const connected = client(t, store.connectionString)
    let stored = 0
    const fill = async () => {
      for (; stored < 500; stored++) await connected.appendToStream('blob-1', blob(20_000), { expectedRevision: 'any' })
    }
    t.match(await refusal(fill()), { code: 8, message: /disk .* is full/ })
    t.match(await refusal(connected.appendToStream('blob-2', blob(20_000))), { code: 8 })
    t.equal((await collect(connected.readStream('blob-1'))).length, stored, 'reads go on')
    await store.kill9()
    await store.restart()
    const again = client(t, store.connectionString)
    t.equal((await collect(again.readStream('blob-1'))).length, stored, 'also after a restart on the full disk')
    t.match(await refusal(again.appendToStream('blob-2', blob(20_000))), { code: 8 })
    rmSync(ballast)
    const next = await again.appendToStream('blob-1', fact('Room'), { expectedRevision: BigInt(stored - 1) })
    t.equal(next.nextExpectedRevision, BigInt(stored), 'accepted again, right behind what was acknowledged')
    await again.appendToStream('blob-2', fact('Room'), { expectedRevision: 'no_stream' })
    await store.kill9()
    await store.restart()
    t.match(await verify(store.dataDir), { ok: true, events: stored + 2, problems: [] })
  },
)

t.test('any other failing write ends the process at once', async t => {
  const limited = ['bash', '-c', 'ulimit -f 2048; trap "" XFSZ; exec "$0" "$@"']
  const store = await startEventStore(t, { launcher: limited })
  const connected = client(t, store.connectionString)
  const fill = async () => {
    for (let count = 0; count < 500; count++) await connected.appendToStream('blob-1', blob(20_000), { deadline: 5000 })
  }
  await refusal(fill())
  t.equal(await store.exited(), 1)
  t.match(store.log(), /cannot write/)
  t.match(await verify(store.dataDir), { ok: true })
})

async function write(stream: string, append: (stream: string, revision: number) => Promise<void>): Promise<void> {
  try {
    for (let revision = 0; ; revision++) await append(stream, revision)
  } catch {
    // The node is gone; what was acknowledged until now is what counts.
  }
}

function smallDisk(t: Test, size: string): string | undefined {
  const folder = temporary(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  t.teardown(() => execFileSync('umount', ['-l', folder]))
  return folder
}

function overwrite(file: string, at: number, bytes: Buffer): void {
  const content = readFileSync(file)
  bytes.copy(content, at)
  writeFileSync(file, content)
}

function flip(file: string, at: number): void {
  if (at < 0) throw new Error('the event to damage is not in the file')
  overwrite(file, at, Buffer.from([(readFileSync(file)[at] ?? 0) ^ 1]))
}

function newestMetaAt(file: string): number {
  const content = readFileSync(file)
  return content.readUInt32LE(152) > content.readUInt32LE(4096 + 152) ? 0 : 4096
}
