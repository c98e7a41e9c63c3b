import { everything, type Resource } from '../../infra/access.ts'
import { type Holder, ProblemError } from '../../infra/http/index.ts'
import type { ProblemCode } from '../../schemas/problems.ts'

/**
 * It is not permitted. The log is told so and why; whoever asked is told `told`, which for what they may not even see is
 * what they would be told if it did not exist.
 */
export class Denied extends ProblemError {
  override name = 'Denied'
  readonly told: ProblemError
  constructor(detail: string, told?: ProblemError) {
    super('forbidden', detail)
    this.told = told ?? new ProblemError('forbidden', detail)
  }
}

const notFound: Readonly<Record<string, ProblemCode>> = {
  target: 'target-not-found',
  credential: 'credential-not-found',
  job: 'job-not-found',
  run: 'run-not-found',
  executor: 'executor-not-found',
  role: 'role-not-found',
  group: 'group-not-found',
  grant: 'grant-not-found',
  user: 'user-not-found',
  'service-account': 'service-account-not-found',
  'api-key': 'api-key-not-found',
}

/** In the words of the rules themselves. */
export function absent({ kind, id }: Resource): ProblemError {
  const code = notFound[kind]
  return code ? new ProblemError(code, `no ${kind.replace('-', ' ')} ${id}`) : new ProblemError('not-found')
}

/** @throws Denied unless it is permitted on this; `told` for what may not be seen either. */
export function demand(holder: Holder, permission: string, resource: Resource, told = absent(resource)): void {
  if (holder.permitsOn(permission, resource)) return
  const { kind, id } = resource
  const isSeen = holder.permitsOn(`${kind}:read`, resource)
  throw new Denied(`needs ${permission} on the ${kind} ${id}`, isSeen ? undefined : told)
}

/** Whether there is nothing that a permission has to be looked up for. */
export const holdsEverywhere = (holder: Holder, permission: string): boolean =>
  holder.scopes(permission).includes(everything)
