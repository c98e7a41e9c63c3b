import type { Config } from '../../../infra/config.ts'
import { createOidcProvider } from './provider.ts'

/** The provider that people may come by, if one is set. */
export const openOidc = ({ oidc }: Pick<Config, 'oidc'>) => ({ provider: oidc && createOidcProvider(oidc) })
