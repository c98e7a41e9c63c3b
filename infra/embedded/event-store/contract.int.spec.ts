import t, { type Test } from 'tap'
import { realEventStoreUrl, startEventStore } from '../../../test/support/event-store.ts'
import { appendContract } from './contract/appends.ts'
import { readContract } from './contract/reads.ts'
import { streamContract } from './contract/streams.ts'
import { subscriptionContract } from './contract/subscriptions.ts'
import { contractOver } from './contract/support.ts'

t.setTimeout(120_000)

const real = realEventStoreUrl()

t.test('the embedded node keeps the contract', async t => {
  const { connectionString } = await startEventStore(t)
  await keepsContract(t, connectionString)
})

t.test(
  'EventStoreDB keeps the contract',
  { skip: real ? false : 'OPSCONDUCTOR_TEST_EVENTSTORE_URL is not set' },
  async t => {
    await keepsContract(t, real ?? '')
  },
)

async function keepsContract(t: Test, connectionString: string) {
  const contract = contractOver(connectionString)
  t.teardown(() => contract.client.dispose())
  appendContract(t, contract)
  readContract(t, contract)
  streamContract(t, contract)
  subscriptionContract(t, contract)
}
