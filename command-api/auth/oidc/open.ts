import type { Clock } from '../../../infra/clock.ts'
import type { Config } from '../../../infra/config.ts'
import { createPendingSignIns } from './pending.ts'
import { createOidcProvider } from './provider.ts'

/** The provider that people may come by, if one is set, and the sign-ins that have begun. */
export const openOidc = ({ oidc }: Pick<Config, 'oidc'>, clock: Clock) => ({
  provider: oidc && createOidcProvider(oidc),
  pending: createPendingSignIns(clock),
})
