import { z } from 'zod'
import { scope } from './access.ts'
import { id, instant, type MessageOf, name, reason, sha256 } from './kernel.ts'

/** Whose rights a key has, at most. */
export const apiKeyOwner = z.strictObject({ kind: z.enum(['user', 'service-account']), id })
const permission = z.string().regex(/^[a-z-]{1,40}:[a-z-]{1,40}$/, 'for example run:trigger')
/** Narrows what the owner may: only these. Absent: all that the owner may. */
const permissions = z.array(permission).min(1).max(100)
/** Narrows where: what the owner may, it may only on what one of these holds too. Absent: wherever the owner may. */
const scopes = z.array(scope).min(1).max(20)

export const apiKeyCommands = {
  'issue-api-key': z.strictObject({
    keyId: id.optional(),
    name,
    owner: apiKeyOwner,
    permissions: permissions.optional(),
    scopes: scopes.optional(),
    expiresSeconds: z.int().min(60).max(31_622_400).default(7_776_000),
  }),
  'revoke-api-key': z.strictObject({ keyId: id, reason }),
}

export const apiKeyInternalCommands = {
  /** Its owner may not act any more, and so it may not either. */
  'tell-api-key-stopped': z.strictObject({ keyId: id, owner: apiKeyOwner }),
  'note-api-key-use': z.strictObject({ keyId: id, at: instant }),
}

/** `opsk_<keyId without dashes>_<43 base64url>`: 256 random bits, of which only the SHA-256 of the whole key is kept. */
export const apiKeyEvents = {
  ApiKeyIssued: z.object({
    keyId: id,
    name,
    owner: apiKeyOwner,
    secretHash: sha256,
    permissions: permissions.optional(),
    scopes: scopes.optional(),
    expiresAt: instant,
  }),
  ApiKeyRevoked: z.object({ keyId: id, reason }),
  /** It stopped because its owner did: told once, as a sign that something may have to be given another key. */
  ApiKeyStopped: z.object({ keyId: id, name, owner: apiKeyOwner }),
  /** At most once an hour. */
  ApiKeyUsed: z.object({ keyId: id, at: instant }),
}

export const apiKeyRow = z.object({
  keyId: id,
  name,
  owner: apiKeyOwner,
  status: z.enum(['active', 'revoked']),
  permissions: permissions.nullable(),
  scopes: scopes.nullable(),
  expiresAt: instant,
  lastUsedAt: instant.nullable(),
})

export type ApiKeyCommand = MessageOf<typeof apiKeyCommands & typeof apiKeyInternalCommands>
export type ApiKeyEvent = MessageOf<typeof apiKeyEvents>
export type ApiKeyRow = z.output<typeof apiKeyRow>
