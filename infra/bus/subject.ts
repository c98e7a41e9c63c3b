// Longer subjects would not fit a control line of 4,096 bytes with its reply subject.
const maxSubjectLength = 1024
const maxTokenLength = 128

/**
 * Whether an id can be one token of a subject and mean nothing else there: with a dot, a wildcard or a blank in it, it
 * would address somebody else's subject. True for 1 to 128 of the characters A-Z a-z 0-9 _ -.
 */
export function isSubjectToken(id: string): boolean {
  return id.length <= maxTokenLength && /^[A-Za-z0-9_-]+$/.test(id)
}

/** A subject to publish to: tokens of printable characters parted by dots, no wildcards (NATS subject naming rules). */
export function isPublishSubject(subject: string): boolean {
  return subject.length <= maxSubjectLength && tokensOf(subject).every(token => isToken(token) && !isWildcard(token))
}

/** A subject to subscribe to: like above, and `*` stands for one token, a last `>` for one or more. */
export function isSubscribeSubject(subject: string): boolean {
  const tokens = tokensOf(subject)
  const full = tokens.indexOf('>')
  return subject.length <= maxSubjectLength && tokens.every(isToken) && (full === -1 || full === tokens.length - 1)
}

/** A queue group's name: printable, no spaces. */
export function isQueueName(queue: string): boolean {
  return queue.length <= maxSubjectLength && isToken(queue)
}

const tokensOf = (subject: string) => subject.split('.')
const isToken = (token: string) => /^[\x21-\x7e]+$/.test(token)
const isWildcard = (token: string) => token === '*' || token === '>'
