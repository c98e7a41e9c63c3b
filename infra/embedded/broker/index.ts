export { type BrokerStats, type RunningBroker, runBroker } from './broker.ts'
export type { BrokerLog, BrokerOptions, BrokerUser } from './options.ts'
export type { Permissions, SubjectRule } from './permissions.ts'
export { natsServerConfig } from './server-config.ts'
