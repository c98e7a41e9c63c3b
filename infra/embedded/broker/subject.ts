/**
 * Subjects as the NATS protocol has them: tokens parted by dots; `*` stands for one token, a last `>` for one or more.
 * Control characters and spaces cannot occur, they would end the subject on the wire.
 */
export function isSubject(text: string): boolean {
  if (!hasOnlySubjectCharacters(text)) return false
  const tokens = text.split('.')
  const full = tokens.indexOf('>')
  return !tokens.includes('') && (full === -1 || full === tokens.length - 1)
}

/** A subject without wildcards, fit to publish to. */
export function isLiteralSubject(text: string): boolean {
  return isSubject(text) && !hasWildcard(text)
}

export function hasWildcard(subject: string): boolean {
  return subject.split('.').some(token => token === '*' || token === '>')
}

/** Whether every subject the second pattern matches is matched by the first as well. */
export function covers(pattern: string, subject: string): boolean {
  const wide = pattern.split('.')
  const narrow = subject.split('.')
  for (const [index, token] of wide.entries()) {
    const other = narrow[index]
    if (other === undefined) return false
    if (token === '>') return true
    if (token === '*' ? other === '>' : token !== other) return false
  }
  return wide.length === narrow.length
}

/** Whether some subject is matched by both patterns. */
export function overlap(left: string, right: string): boolean {
  const a = left.split('.')
  const b = right.split('.')
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const x = a[index]
    const y = b[index]
    if (x === undefined || y === undefined) return false
    if (x === '>' || y === '>') return true
    if (x !== '*' && y !== '*' && x !== y) return false
  }
  return true
}

function hasOnlySubjectCharacters(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (code <= 0x20 || code === 0x7f) return false
  }
  return text.length > 0
}
