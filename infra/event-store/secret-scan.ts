/** What must never reach an append-only log. Prefixes are those their issuers publish so that scanners find them. */
const patterns: ReadonlyArray<readonly [what: string, pattern: RegExp]> = [
  ['a private key', /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/],
  ['a PuTTY private key', /PuTTY-User-Key-File-[23]/],
  ['an OpsConductor API key', /opsc_[0-9a-f]{12}_[A-Za-z0-9_-]{20}/],
  ['an OpsConductor key, link or token', /ops[klr]_[0-9a-f]{32}_[A-Za-z0-9_-]{20}/],
  ['an AWS access key', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  ['a GitHub token', /\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{30}/],
  ['a GitLab token', /\bglpat-[A-Za-z0-9_-]{20}/],
  ['a Slack token', /\bxox[abeoprs]-[A-Za-z0-9-]{10}/],
  ['a JSON Web Token', /\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}/],
  ['a password in a URL', /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@"'\\]{1,64}:[^\s/@"'\\${}<*]{3,128}@/],
]

/** Says what in this text looks like a secret, or undefined. Linear in the length of the text. */
export function looksLikeSecret(text: string): string | undefined {
  return patterns.find(([, pattern]) => pattern.test(text))?.[0]
}
