export { type Considered, explain, whoCan } from './access/explain.ts'
export { administratorHolder, type Holder, holderOf } from './access/holder.ts'
export { judge, rolesOf, scopesOf } from './access/judge.ts'
export { administrators, lacking, lackingOf } from './access/lacking.ts'
export { isOwned, newlyOrphaned } from './access/owners.ts'
export { personOf, personText } from './access/person.ts'
export { maySeeCredential } from './access/personal.ts'
export { type Authentication, createAuthentication } from './access/presented.ts'
export { isTakenIn, revocationsOf, takeAway } from './access/revocations.ts'
export { grantsOf, permissionsOf } from './access/rights.ts'
export { evolveGrant, evolveGroup, evolveRole } from './access/rows.ts'
export { appliesTo, everything, liesWithin, scopeText } from './access/scopes.ts'
export {
  applySignInEvent,
  createSignInFacts,
  endSession,
  endSessionsBefore,
  type SignInFacts,
  signInKinds,
} from './access/sign-in-facts.ts'
export { evolveBreakGlass, evolveSodRule, evolveSodViolation } from './access/sod-rows.ts'
export {
  type AccessCategory,
  accessKinds,
  applyEvent,
  copyOf,
  createAccessState,
  putPrincipal,
  putVersion,
} from './access/state.ts'
export { type Challenge, createTokenCheck, type TokenCheck } from './access/tokens.ts'
export {
  type AccessKind,
  type AccessRows,
  type AccessState,
  type Allowance,
  type Held,
  type HeldScope,
  type Judgement,
  type PrincipalFacts,
  principalKey,
  type Resource,
  type Rights,
} from './access/types.ts'
