import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { replacePrivateFile, writeNewPrivateFile } from './private-file.ts'

/** A key-encryption key file that must not be used, and why; never quotes a key. */
export class KekFileError extends Error {
  override name = 'KekFileError'
}

const KEY_BYTES = 32
const kekFile = z.strictObject({
  active: z.string().min(1),
  keks: z
    .array(z.strictObject({ id: z.string().regex(/^[A-Za-z0-9._-]{1,120}$/), key: z.base64(), createdAt: z.string() }))
    .min(1),
})

/** The keys by id, 32 bytes each; new secrets are wrapped with the active one. */
export type Keks = { active: string; keys: ReadonlyMap<string, Buffer> }

/**
 * Makes a file with one new random 256-bit key, mode 0600 in a folder of mode 0700, and returns the key's id.
 * Call it once per installation, before there is any secret. `dataDir` is what the key protects.
 * Throws KekFileError when the file exists or lies in `dataDir`, where every backup would carry it along.
 */
export function createKekFile(path: string, options: { dataDir: string; now: string }): string {
  refuseInside(path, options.dataDir)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const id = newId()
  const key = randomBytes(KEY_BYTES)
  const file = { active: id, keks: [{ id, key: key.toString('base64'), createdAt: options.now }] }
  const written = writeNewPrivateFile(path, write(file))
  key.fill(0)
  if (!written) throw new KekFileError(`there is already a key-encryption key file at ${path}: it is left as it is`)
  return id
}

/**
 * Puts one more random key into the file and makes it the active one; answers its id. The file is replaced whole, so a
 * reader finds the old one or the new one. Throws KekFileError.
 */
export function addKek(path: string, options: { dataDir: string; now: string }): string {
  const { keys, active: _, ...file } = readKekFile(path, options)
  const [id, key] = [newId(), randomBytes(KEY_BYTES)]
  const added = { id, key: key.toString('base64'), createdAt: options.now }
  key.fill(0)
  replacePrivateFile(path, write({ active: id, keks: [...file.keks, added] }))
  wipe(keys)
  return id
}

/** Takes a key out of the file. Throws KekFileError for the active one. */
export function removeKek(path: string, kekId: string, options: { dataDir: string }): void {
  const { keys, active, keks } = readKekFile(path, options)
  wipe(keys)
  if (kekId === active) throw new KekFileError(`${kekId} is the active key: make another one first`)
  replacePrivateFile(path, write({ active, keks: keks.filter(({ id }) => id !== kekId) }))
}

const newId = () => `kek-${randomBytes(6).toString('hex')}`
const write = (file: z.output<typeof kekFile>) => `${JSON.stringify(file, null, 2)}\n`
const wipe = (keys: Keks['keys']) => {
  for (const key of keys.values()) key.fill(0)
}

/** Reads the keys. Throws KekFileError when the file is missing, readable by others, damaged, or holds a weak key. */
export function loadKekFile(path: string, options: { dataDir: string }): Keks {
  const { active, keys } = readKekFile(path, options)
  return { active, keys }
}

function readKekFile(path: string, options: { dataDir: string }): Keks & z.output<typeof kekFile> {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) throw new KekFileError(`there is no key-encryption key file at ${path}`)
  refuseInside(path, options.dataDir)
  if ((stat.mode & 0o077) !== 0) throw new KekFileError(`${path} can be read by others than its owner: chmod 600 it`)
  const file = parse(path)
  const keys = keysOf(path, file.keks)
  if (keys.size < file.keks.length) throw new KekFileError(`${path} lists a key id twice`)
  if (!keys.has(file.active)) throw new KekFileError(`${path} names an active key it does not hold: ${file.active}`)
  return { ...file, keys }
}

/** Reads `id:base64,…`, the first of which is active. Throws KekFileError, which never quotes a key. */
export function parseKeks(text: string, from: string): Keks {
  const listed = text.split(',').map(one => {
    const [, id = '', key = ''] = /^([A-Za-z0-9._-]{1,120}):([A-Za-z0-9+/]+={0,2})$/.exec(one.trim()) ?? []
    if (key === '') throw new KekFileError(`${from} is not a list of keys: id:base64,id:base64`)
    return { id, key }
  })
  const keys = keysOf(from, listed)
  if (keys.size < listed.length) throw new KekFileError(`${from} lists a key id twice`)
  return { active: listed[0]?.id ?? '', keys }
}

const keysOf = (where: string, listed: readonly { id: string; key: string }[]) =>
  new Map(listed.map(({ id, key }) => [id, strong(where, id, Buffer.from(key, 'base64'))]))

function parse(path: string): z.output<typeof kekFile> {
  let content: unknown
  try {
    content = JSON.parse(readFileSync(path, 'utf8'))
  } catch (err) {
    // The parser's message could quote a key.
    const why = err instanceof SyntaxError ? 'is not JSON' : `cannot be read (${(err as NodeJS.ErrnoException).code})`
    throw new KekFileError(`${path} ${why}`)
  }
  const parsed = kekFile.safeParse(content)
  if (parsed.success) return parsed.data
  const where = parsed.error.issues.map(issue => issue.path.join('.') || '(top)')
  throw new KekFileError(`${path} is not a key-encryption key file: look at ${where.join(', ')}`)
}

function strong(path: string, id: string, key: Buffer): Buffer {
  if (key.length !== KEY_BYTES) throw new KekFileError(`key ${id} in ${path} has ${key.length} bytes, not ${KEY_BYTES}`)
  if (key.every(byte => byte === key[0]))
    throw new KekFileError(`key ${id} in ${path} is no key: all its bytes are equal`)
  return key
}

function refuseInside(path: string, dataDir: string): void {
  const way = relative(real(dataDir), real(path))
  if (way === '' || (way !== '..' && !way.startsWith('../'))) {
    throw new KekFileError(
      `the key-encryption key file ${path} must lie outside the data folder ${dataDir} it protects`,
    )
  }
}

/** The path with every link resolved, as far as it exists. */
function real(path: string): string {
  const whole = resolve(path)
  try {
    return realpathSync(whole)
  } catch {
    return dirname(whole) === whole ? whole : join(real(dirname(whole)), basename(whole))
  }
}
