import { randomBytes, timingSafeEqual } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Clock } from './clock.ts'
import { sha256Hex } from './ids.ts'

/** Keys look like `opsc_<id>_<secret>`: a prefix that secret scanners can find, an id to revoke by. */
const KEY = /^opsc_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/
const record = z.strictObject({
  id: z.string(),
  label: z.string(),
  sha256: z.string(),
  createdAt: z.string(),
  expiresAt: z.string().optional(),
})
/** Looking at the file for every request would cost a loaded API a twentieth of its work. */
const LOOK_AGAIN_MS = 100
const keyFile = z.strictObject({ keys: z.array(record) })
type KeyRecord = z.output<typeof record>

export type ApiKeyHolder = {
  id: string
  label: string
  /** Whether the key is still there and has not ended; cheaper than checking it again. */
  stillValid(): boolean
}

function load(file: string): KeyRecord[] {
  try {
    return keyFile.parse(JSON.parse(readFileSync(file, 'utf8'))).keys
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new Error(`the API key file ${file} cannot be used: ${(err as Error).message}`)
  }
}

function store(file: string, keys: KeyRecord[]): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const beside = `${file}.${process.pid}.new`
  writeFileSync(beside, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600, flush: true })
  chmodSync(beside, 0o600)
  renameSync(beside, file)
}

/** True when the file holds at least one key. */
export const hasApiKeys = (file: string): boolean => load(file).length > 0

/**
 * Makes an administrator key, stores only its SHA-256 in `file` (mode 0600) and returns the key itself, which
 * nobody can find again. The key is 256 random bits, so a plain hash is enough.
 */
export function createApiKey(file: string, label: string, options: { now: string; ttlSeconds?: number }): string {
  const id = randomBytes(6).toString('hex')
  const key = `opsc_${id}_${randomBytes(32).toString('base64url')}`
  const alive = load(file).filter(k => k.expiresAt === undefined || k.expiresAt > options.now)
  const expiresAt =
    options.ttlSeconds === undefined
      ? {}
      : { expiresAt: new Date(Date.parse(options.now) + options.ttlSeconds * 1000).toISOString() }
  store(file, [...alive, { id, label, sha256: sha256Hex(key), createdAt: options.now, ...expiresAt }])
  return key
}

/** What is known of the keys; nothing of it lets anyone in. */
export const listApiKeys = (file: string): Array<Omit<KeyRecord, 'sha256'>> =>
  load(file).map(({ sha256, ...shown }) => shown)

/** Removes the key with this id (the middle part of the key). Answers whether it was there. */
export function removeApiKey(file: string, id: string): boolean {
  const keys = load(file)
  const left = keys.filter(k => k.id !== id)
  if (left.length < keys.length) store(file, left)
  return left.length < keys.length
}

/** The id part of a key, or undefined when it does not look like one. */
export const apiKeyId = (key: string): string | undefined => KEY.exec(key)?.[1]

/** Checks keys against the file: a new one is known at once, a removed one refused a tenth of a second later. */
export function apiKeyCheck(file: string, clock: Clock): (key: string) => ApiKeyHolder | undefined {
  let keys = new Map<string, KeyRecord>()
  let seen = ''
  let lookedAt = Number.NEGATIVE_INFINITY
  const refresh = () => {
    const stat = statSync(file, { throwIfNoEntry: false })
    const mark = stat ? `${stat.ino}:${stat.mtimeMs}:${stat.size}` : ''
    if (mark !== seen) keys = new Map(load(file).map(k => [k.id, k]))
    seen = mark
    lookedAt = clock.monotonic()
  }
  const find = (id: string) => {
    if (!keys.has(id) || clock.monotonic() - lookedAt >= LOOK_AGAIN_MS) refresh()
    const found = keys.get(id)
    return found && (found.expiresAt === undefined || found.expiresAt > clock.now()) ? found : undefined
  }
  return key => {
    const found = find(apiKeyId(key) ?? '')
    if (!found) return undefined
    const { id, label, sha256 } = found
    const same = timingSafeEqual(Buffer.from(sha256, 'hex'), Buffer.from(sha256Hex(key), 'hex'))
    return same ? { id, label, stillValid: () => find(id)?.sha256 === sha256 } : undefined
  }
}
