import type { EdgeOptions } from '../../http/edge-options.ts'

/** Where a part is reached. `encrypted`: `verified` when the other side has to prove who it is. */
export type Endpoint = {
  name: string
  hosts: string[]
  encrypted: 'no' | 'unverified' | 'verified'
}
/** `mode`: the permission bits; undefined when there is no such file. */
export type PrivateFile = {
  what: 'key-encryption keys' | 'API key hashes' | 'runtime file' | 'executor identity' | 'secret file' | 'data folder'
  path: string
  mode: number | undefined
  insideData: boolean
}
export type AdminKey = { id: string; label: string; createdAt: string; expiresAt?: string | undefined }
export type Role = { name: string; uid: number; coreDumps: boolean }
export type Database = {
  /** How far the clock here is ahead of the database's, milliseconds; negative when it is behind. */
  driftMs: number
  /** Grants of the role administrator to people. */
  administrators: number
  /** Of those, people who sign in without a second factor, and who could sign in. */
  withoutSecondFactor: string[]
  /** Targets whose host key is whatever is seen first, and how many there are. */
  firstUse: { trusted: number; targets: number }
  executors: Array<{ executorId: string; protocol: number }>
  /** Service accounts that act and nobody answers for; `lost`: somebody did. */
  ownerless: Array<{ id: string; name: string; lost: boolean }>
  expiring: Array<{ kind: string; id: string; name: string; at: string }>
}

/** All that is looked at, as plain data: what follows from it is in examine.ts. */
export type Facts = {
  now: string
  host: string
  logLevel: string
  edge: EdgeOptions
  egressAllow: readonly string[]
  vaultEgressAllow: readonly string[]
  oidcEgressAllow: readonly string[]
  /** Where a provider sends people back to. */
  oidcRedirectUrl: string | undefined
  kekProvider: string
  endpoints: Endpoint[]
  files: PrivateFile[]
  adminKeys: AdminKey[]
  /** Of this process, which runs as the roles would. */
  node: string
  nodeSettings: { trustsAnybody: boolean; debuggable: boolean }
  root: boolean
  coreDumps: boolean
  /** Processes of a running system; empty without one. */
  roles: Role[]
  /** Where the system writes memory it has no room for. */
  swap: string[]
  /** Bytes. */
  disks: Array<{ path: string; free: number; total: number }>
  /** Undefined where none is configured and none runs. */
  database: Database | 'unreachable' | undefined
}

/** `danger`: somebody can get in or read what they must not. `warning`: worth a look. `note`: good to know. */
export type Severity = 'danger' | 'warning' | 'note'
export type Finding = { id: string; severity: Severity; what: string; todo: string }
