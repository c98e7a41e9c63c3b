export { EgressFailure, type EgressRequest, type EgressResponse, sendGuarded } from './egress/client.ts'
export { guardedFetch } from './egress/fetch.ts'
export { type EgressPolicy, egressPolicy } from './egress/policy.ts'
