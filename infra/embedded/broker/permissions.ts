import { covers, hasWildcard, overlap } from './subject.ts'

/** Without `allow` everything is allowed, with an empty one nothing; `deny` wins over `allow`. */
export type SubjectRule = { allow?: readonly string[]; deny?: readonly string[] }

export type Permissions = { publish?: SubjectRule; subscribe?: SubjectRule }

/** To a subject without wildcards. */
export function mayPublish(permissions: Permissions | undefined, subject: string): boolean {
  return isAllowed(permissions?.publish, subject)
}

/** A subscription must lie wholly within what is allowed and not wholly within what is denied. */
export function maySubscribe(permissions: Permissions | undefined, subject: string): boolean {
  return isAllowed(permissions?.subscribe, subject)
}

/**
 * Whether a granted subscription still reaches into something denied, as `a.*` does when `a.secret` is denied: then
 * each message needs `maySubscribe` of its own subject.
 */
export function needsFilter(permissions: Permissions | undefined, subject: string): boolean {
  const deny = permissions?.subscribe?.deny ?? []
  return hasWildcard(subject) && deny.some(pattern => overlap(pattern, subject))
}

function isAllowed(rule: SubjectRule | undefined, subject: string): boolean {
  const within = (pattern: string) => covers(pattern, subject)
  return (!rule?.allow || rule.allow.some(within)) && !rule?.deny?.some(within)
}
