import { type BrokerOptions, runBroker } from '../../infra/embedded/broker/index.ts'

// Runs one embedded broker for the test that forked it, and ends with it.
process.once('message', async options => {
  const broker = await runBroker(options as BrokerOptions) // sent by startBroker
  process.send?.({ port: broker.port })
})
process.once('disconnect', () => process.exit(0))
