import type { CredentialEvent } from '../../schemas/credential.ts'

/** The fewest days it was warned of, or that its end was told; undefined: neither. */
export type Warned = number | 'expired' | undefined

const DAY_MS = 86_400_000
/** Days before the end at which it is told, each once. */
const warnings = [30, 7, 1]

/** What is to be told of the expiry of a version at this moment. */
export function expiryOf(
  credentialId: string,
  newest: { version: number; expiresAt?: string | undefined } | undefined,
  warned: Warned,
  at: string,
): CredentialEvent[] {
  if (newest?.expiresAt === undefined || warned === 'expired') return []
  const { version, expiresAt } = newest
  const left = Date.parse(expiresAt) - Date.parse(at)
  if (left <= 0) return [{ type: 'CredentialExpired', data: { credentialId, version, expiresAt } }]
  const daysLeft = warnings.findLast(days => left <= days * DAY_MS)
  if (daysLeft === undefined || (warned !== undefined && warned <= daysLeft)) return []
  return [{ type: 'CredentialExpiryApproached', data: { credentialId, version, expiresAt, daysLeft } }]
}
