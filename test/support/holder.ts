import { everything, type Holder } from '../../infra/access.ts'

/** Somebody who may do, everywhere, what `permits` says; without it everything. */
export function madeHolder(id: string, permits: (permission: string) => boolean = () => true): Holder {
  return {
    actor: { kind: 'api-key', id },
    permits,
    permitsOn: permits,
    scopes: permission => (permits(permission) ? [everything] : []),
  }
}
