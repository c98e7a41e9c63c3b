import { statSync } from 'node:fs'
import { join } from 'node:path'
import { EventStoreDBClient } from '@eventstore/db-client'
import t, { type Test } from 'tap'
import { startEventStore } from '../../../test/support/event-store.ts'
import { appendContract } from './contract/appends.ts'
import { collect, fact, plainAppendContractOver, refusal } from './contract/support.ts'

t.setTimeout(120_000)

const credentials = { username: 'ops', password: 'p@ss: wörd/1' }

function connect(t: Test, connectionString: string): EventStoreDBClient {
  const client = EventStoreDBClient.connectionString(connectionString)
  t.teardown(() => client.dispose())
  return client
}

async function everyCallIsDenied(t: Test, client: EventStoreDBClient) {
  const calls: Record<string, () => Promise<unknown>> = {
    append: () => client.appendToStream('order-1', fact('A')),
    read: () => collect(client.readStream('order-1')),
    'read of $all': () => collect(client.readAll()),
    'subscription to a stream': () => collect(client.subscribeToStream('order-1'), 1),
    'subscription to $all': () => collect(client.subscribeToAll(), 1),
    delete: () => client.deleteStream('order-1'),
    tombstone: () => client.tombstoneStream('order-1'),
    metadata: () => client.setStreamMetadata('order-1', { maxCount: 1 }),
  }
  for (const [name, call] of Object.entries(calls)) t.match(await refusal(call()), { type: 'access-denied' }, name)
}

t.test('with credentials set, every call without them is denied', async t => {
  const store = await startEventStore(t, { credentials })
  const [, encoded = ''] = /\/\/(.+)@/.exec(store.connectionString) ?? []
  const right = connect(t, store.connectionString)

  t.test('the connection string carries what is needed', async t => {
    await right.appendToStream('order-1', fact('Placed'), { expectedRevision: 'no_stream' })
    t.equal((await collect(right.readStream('order-1'))).length, 1)
    t.equal((await collect(right.subscribeToAll(), 1)).length, 1)
    await right.setStreamMetadata('order-1', { maxCount: 9 })
  })

  t.test('credentials of one call count, and go by the plain append', async t => {
    const anonymous = connect(t, store.connectionString.replace(`${encoded}@`, ''))
    await anonymous.appendToStream('order-2', fact('Placed'), { credentials, expectedRevision: 'no_stream' })
    t.equal((await collect(anonymous.readStream('order-2', { credentials }))).length, 1)
    const wrong = { ...credentials, password: 'guess' }
    const denied = await refusal(right.appendToStream('order-1', fact('A'), { credentials: wrong }))
    t.match(denied, { type: 'access-denied' })
  })

  t.test('the plain append keeps the contract', async t => {
    const contract = plainAppendContractOver(store.connectionString, credentials)
    t.teardown(() => contract.client.dispose())
    appendContract(t, contract)
    t.test('a tombstoned stream is not written', async t => {
      await contract.client.tombstoneStream('gone')
      t.match(await refusal(contract.client.appendToStream('gone', fact('A'))), { type: 'stream-deleted' })
      t.match(await contract.client.appendToStream('hollow', []), { success: true })
      await contract.client.appendToStream('hollow', fact('A'), { expectedRevision: 'no_stream' })
      t.match(await contract.client.appendToStream('hollow', []), { success: true, nextExpectedRevision: 0n })
    })
  })

  t.test('no credentials', async t => {
    await everyCallIsDenied(t, connect(t, store.connectionString.replace(`${encoded}@`, '')))
  })

  t.test('wrong credentials', async t => {
    await everyCallIsDenied(t, connect(t, store.connectionString.replace(encoded, 'ops:guess')))
  })

  t.test('the key is for its owner only and the certificate is kept over a restart', async t => {
    t.equal(statSync(join(store.dataDir, 'node.key')).mode & 0o777, 0o600)
    t.equal(statSync(store.dataDir).mode & 0o077, 0)
    await right.dispose()
    await store.restart()
    const again = connect(t, store.connectionString)
    t.equal((await collect(again.readStream('order-1'))).length, 1)
  })

  t.test('the password is nowhere in the log', async t => {
    t.notMatch(store.log(), /wörd/)
  })
})

t.test('a client that speaks plain text to a node with credentials gets nowhere', async t => {
  const store = await startEventStore(t, { credentials })
  const plain = connect(t, store.connectionString.replace(/tls=true.*$/, 'tls=false'))
  t.match(await refusal(plain.appendToStream('order-1', fact('A'), { deadline: 3000 })), { message: /./ })
  const right = connect(t, store.connectionString)
  t.match(await refusal(collect(right.readStream('order-1'))), { type: 'stream-not-found' })
})
