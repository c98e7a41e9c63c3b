export { EgressFailure, type EgressRequest, type EgressResponse, sendGuarded } from './egress/client.ts'
export { type EgressPolicy, egressPolicy } from './egress/policy.ts'
