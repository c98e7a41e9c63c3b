/**
 * The one table from error code to HTTP status (RFC 9457). The domain throws codes, the edge looks them up here,
 * and the API description and the CLI print them.
 */
export const problems = {
  'invalid-input': [400, 'The request does not match its schema'],
  'invalid-json': [400, 'The body is not valid JSON'],
  unauthenticated: [401, 'An API key is needed'],
  forbidden: [403, 'The key does not permit this'],
  'not-found': [404, 'There is nothing here'],
  'unknown-command': [404, 'There is no such command'],
  'target-not-found': [404, 'There is no such target'],
  'credential-not-found': [404, 'There is no such credential'],
  'job-not-found': [404, 'There is no such job'],
  'job-version-not-found': [404, 'The job has no such version'],
  'run-not-found': [404, 'There is no such run'],
  'target-run-not-found': [404, 'The run has no such target run'],
  'artifact-not-found': [404, 'There is no such artifact'],
  'executor-not-found': [404, 'There is no such executor'],
  'role-not-found': [404, 'There is no such role'],
  'group-not-found': [404, 'There is no such group'],
  'grant-not-found': [404, 'There is no such grant'],
  'principal-not-found': [404, 'There is nobody of that name'],
  'sod-rule-not-found': [404, 'There is no such rule'],
  'sod-violation-not-found': [404, 'There is no such violation of a rule'],
  'break-glass-not-found': [404, 'There is no such use of the emergency role'],
  'executor-not-enrolled': [409, 'The executor is not enrolled'],
  'executor-revoked': [409, 'The executor is revoked'],
  'enrolment-token-invalid': [403, 'The token does not enrol this executor'],
  'enrolment-token-expired': [403, 'The enrolment token has expired'],
  'user-not-found': [404, 'There is no such user'],
  'session-not-found': [404, 'There is no such session'],
  'service-account-not-found': [404, 'There is no such service account'],
  'api-key-not-found': [404, 'There is no such API key'],
  'sign-in-failed': [401, 'That did not sign you in'],
  'sign-in-provider-unavailable': [503, 'The OpenID provider does not answer'],
  'link-invalid': [403, 'The link is not good, or not any more'],
  'login-name-taken': [409, 'The login name is taken'],
  'user-already-exists': [409, 'There is already a user with this id'],
  'user-deactivated': [409, 'The user is deactivated'],
  'user-erased': [409, 'The personal data of the user is erased'],
  'user-not-registered': [409, 'The user has not signed in for the first time yet'],
  'second-factor-unknown': [409, 'The user has no such second factor'],
  'session-ended': [409, 'The session has ended'],
  'service-account-already-exists': [409, 'There is already a service account with this id'],
  'service-account-owner-inactive': [409, 'Nobody is left who could answer for the service account'],
  'service-account-disabled': [409, 'The service account is disabled'],
  'api-key-already-exists': [409, 'There is already an API key with this id'],
  'api-key-owner-inactive': [409, 'The owner of the key is not active'],
  'passphrase-refused': [422, 'The passphrase is not good enough'],
  'target-already-exists': [409, 'There is already a target with this id'],
  'credential-already-exists': [409, 'There is already a credential with this id'],
  'job-already-exists': [409, 'There is already a job with this id'],
  'run-already-exists': [409, 'There is already a run with this id'],
  'role-already-exists': [409, 'There is already a role of this name'],
  'group-already-exists': [409, 'There is already a group with this id'],
  'grant-already-exists': [409, 'There is already a grant with this id'],
  'sod-rule-already-exists': [409, 'There is already a rule of this name'],
  'sod-rule-retired': [409, 'The rule is out of use'],
  'sod-conflict': [403, 'The segregation of duties forbids it'],
  'sod-self-waiver': [403, 'Nobody waives what is held against themselves'],
  'justification-needed': [422, 'Say why, in X-Justification'],
  'break-glass-already-exists': [409, 'There is already a use of the emergency role with this id'],
  'break-glass-not-possible': [403, 'The emergency role is not for whoever asks'],
  'break-glass-not-over': [409, 'It is looked at when it is over'],
  'break-glass-reviewed': [409, 'It was looked at already'],
  'break-glass-self-review': [403, 'Nobody reviews what they did themselves'],
  'role-retired': [409, 'The role is out of use'],
  'grant-ended': [409, 'The grant has ended'],
  'target-decommissioned': [409, 'The target is decommissioned'],
  'target-not-decommissioned': [409, 'The target is not decommissioned'],
  'too-many-tags': [409, 'The target has as many tags as it may have'],
  'credential-revoked': [409, 'The credential is revoked'],
  'credential-not-yours': [403, 'The credential is personal: only its owner may use or change it'],
  'credential-expired': [409, 'The credential has expired'],
  'credential-unfit': [409, 'The credential is of a kind that cannot be used for this'],
  'credential-missing': [409, 'A target has no credential and the job names none'],
  'job-disabled': [409, 'The job is disabled'],
  'job-archived': [409, 'The job is archived'],
  'empty-selection': [409, 'The selection matches no active target'],
  'selection-missing': [409, 'Neither the job nor the request says which targets'],
  'too-many-targets': [409, 'The selection matches more targets than one run may have'],
  'run-finished': [409, 'The run has already ended'],
  'run-not-startable': [409, 'The run cannot be started now'],
  'confirmation-needed': [409, 'It does what a person has to confirm'],
  'target-run-taken': [409, 'The target run is claimed by another executor'],
  'target-run-finished': [409, 'The target run has already ended'],
  'target-run-not-free': [409, 'The target run is not to be given out now'],
  'step-not-running': [409, 'The step is not running'],
  'step-not-unclear': [409, 'The step does not wait for a person'],
  'approval-not-open': [409, 'The run does not wait for this approval'],
  'approval-missing': [409, 'What was not approved cannot count as done'],
  'approval-out-of-date': [409, 'What would be done is not what was shown'],
  'approval-not-yours': [403, 'It is for others to decide'],
  'self-approval-refused': [403, 'Whoever has a part in it does not approve it'],
  'approval-expired': [409, 'It is too late: the approval has expired'],
  'step-already-started': [409, 'The step has already been started'],
  'step-out-of-order': [409, 'The step is not the one that is due'],
  'stale-epoch': [409, 'The claim this report belongs to is no longer the current one'],
  conflict: [409, 'Somebody else changed it at the same moment'],
  'request-in-flight': [409, 'A request with this Idempotency-Key is being worked on'],
  'precondition-failed': [412, 'It has changed since you read it'],
  'bad-request': [400, 'The request is not well-formed HTTP'],
  'method-not-allowed': [405, 'There is something here, but not for this method'],
  'request-timeout': [408, 'The request did not arrive in time'],
  'body-too-large': [413, 'The body is larger than allowed'],
  'unsupported-media-type': [415, 'Send application/json'],
  'range-not-satisfiable': [416, 'There are no such bytes'],
  'headers-too-large': [431, 'The request headers are larger than allowed'],
  'idempotency-key-reused': [422, 'The Idempotency-Key was used with another request'],
  'invalid-parameters': [422, 'The parameters are not what the job version asks for'],
  'invalid-workflow': [422, 'The steps do not make a workflow that can be run'],
  'command-denied': [422, 'It has a command in it that the safety checks refuse'],
  'secret-in-payload': [422, 'The request carries what looks like a secret where no secret belongs'],
  'rate-limited': [429, 'Too many requests'],
  internal: [500, 'Something went wrong on our side'],
  'event-store-unavailable': [503, 'The event store cannot be reached'],
  'read-model-unavailable': [503, 'The read models cannot be reached'],
  'vault-unavailable': [503, 'The vault cannot be reached'],
  'artifact-store-full': [507, 'The artifact store has no room left'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type ProblemCode = keyof typeof problems
export type Problem = {
  type: `urn:opsconductor:problem:${ProblemCode}`
  title: string
  status: number
  detail?: string
  errors?: Array<{ path: string; message: string }>
  correlationId?: string
}

/** Builds an `application/problem+json` body. `detail` must hold nothing internal and nothing secret. */
export function problem(code: ProblemCode, detail?: string, errors?: Problem['errors']): Problem {
  const [status, title] = problems[code]
  return {
    type: `urn:opsconductor:problem:${code}`,
    title,
    status,
    ...(detail === undefined ? {} : { detail }),
    ...(errors === undefined ? {} : { errors }),
  }
}

/**
 * An error that is an answer: any layer may throw one, the HTTP edge turns it into `problem(code, detail, errors)`.
 * `detail` goes to the client as it is.
 */
export class ProblemError extends Error {
  override name = 'ProblemError'
  readonly code: ProblemCode
  readonly detail: string | undefined
  readonly errors: Problem['errors']
  constructor(code: ProblemCode, detail?: string, errors?: Problem['errors']) {
    super(detail === undefined ? code : `${code}: ${detail}`)
    this.code = code
    this.detail = detail
    this.errors = errors
  }
}
