import { z } from 'zod'
import { id, line, type MessageOf, name, reason, tagKey, tags, tagValue } from './kernel.ts'

/** RFC 1123 host name, IPv4 or IPv6 address. The address check is syntax only; resolution happens in the executor. */
export const address = z
  .string()
  .max(253)
  .refine(
    a =>
      /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$/.test(
        a,
      ) || z.ipv6().safeParse(a).success,
    'a host name, an IPv4 or an IPv6 address',
  )
export const port = z.int().min(1).max(65535)
/** An OpenSSH public key: `<type> <base64>`, without comment. */
export const hostKey = z
  .string()
  .max(2048)
  .regex(
    /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}$/,
    'an OpenSSH public key: type and base64',
  )
export const hostKeyPolicy = z.enum(['pinned', 'first-use'])
export const platform = z.enum(['linux', 'windows', 'network'])

const described = {
  name,
  address,
  port: port.default(22),
  platform: platform.default('linux'),
  tags: tags.default({}),
  hostKeyPolicy: hostKeyPolicy.default('first-use'),
  hostKey: hostKey.optional(),
  credentialId: id.optional(),
}

export const targetCommands = {
  'create-target': z.strictObject({ targetId: id.optional(), ...described }),
  'rename-target': z.strictObject({ targetId: id, name }),
  'change-target-address': z.strictObject({ targetId: id, address, port: port.optional() }),
  'tag-target': z.strictObject({ targetId: id, key: tagKey, value: tagValue.default('') }),
  'untag-target': z.strictObject({ targetId: id, key: tagKey }),
  'pin-host-key': z.strictObject({ targetId: id, hostKey }),
  'assign-credential': z.strictObject({ targetId: id, credentialId: id }),
  'decommission-target': z.strictObject({ targetId: id, reason }),
  'reinstate-target': z.strictObject({ targetId: id, reason }),
}

/** Appended by reactors when an executor reports what it met; never offered over HTTP. */
export const targetInternalCommands = {
  'observe-host-key': z.strictObject({ targetId: id, hostKey, runId: id }),
  'report-host-key-mismatch': z.strictObject({ targetId: id, presented: hostKey, runId: id }),
}

export const targetEvents = {
  TargetRegistered: z.object({
    targetId: id,
    name,
    address,
    port,
    platform,
    tags,
    hostKeyPolicy,
    hostKey: hostKey.optional(),
    credentialId: id.optional(),
  }),
  TargetRenamed: z.object({ targetId: id, name }),
  TargetAddressChanged: z.object({ targetId: id, address, port }),
  TargetTagged: z.object({ targetId: id, key: tagKey, value: tagValue }),
  TargetUntagged: z.object({ targetId: id, key: tagKey }),
  CredentialAssignedToTarget: z.object({ targetId: id, credentialId: id }),
  HostKeyPinned: z.object({ targetId: id, hostKey }),
  HostKeyObserved: z.object({ targetId: id, hostKey, runId: id }),
  HostKeyMismatchDetected: z.object({ targetId: id, expected: hostKey, presented: hostKey, runId: id }),
  TargetDecommissioned: z.object({ targetId: id, reason }),
  TargetReinstated: z.object({ targetId: id, reason }),
}

export const targetRow = z.object({
  targetId: id,
  name: line(120),
  address: z.string(),
  port: z.int(),
  platform,
  tags,
  status: z.enum(['active', 'decommissioned']),
  hostKeyPolicy,
  hostKey: z.string().nullable(),
  hostKeySource: z.enum(['pinned', 'observed']).nullable(),
  credentialId: id.nullable(),
})

export type TargetCommand = MessageOf<typeof targetCommands & typeof targetInternalCommands>
export type TargetEvent = MessageOf<typeof targetEvents>
export type TargetRow = z.output<typeof targetRow>

/**
 * What the target is part of, as the safety checks know it: its tag `environment`, else `env`, in small letters; `prod`
 * and `prd` are `production`.
 */
export function environmentOf(tags: Readonly<Record<string, string>>): string | undefined {
  const said = (tags.environment ?? tags.env)?.trim().toLowerCase()
  if (said === undefined || said === '') return undefined
  return said === 'prod' || said === 'prd' ? 'production' : said
}
