import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DamagedStore } from './store/errors.ts'
import { ownerPid } from './store/folder-lock.ts'
import { checkRecords } from './store/records.ts'
import { checkStructure, hasStore } from './store/structure.ts'
import { DATA_FILE, openTables, type Tables, unseal } from './store/tables.ts'
import { readHeader } from './wire/recorded-event.ts'

/** Numbers of a store. `end` is the position after its last event, `bytes` the size of its file, times are ISO 8601. */
export type StoreStats = {
  events: number
  streams: number
  end: number
  bytes: number
  first: string | undefined
  latest: string | undefined
  usedByPid: number | undefined
}

export type VerifyReport = { ok: boolean; events: number; streams: number; end: number; problems: string[] }

/** Counts what is in a store, whether a node runs on it or not. Throws DamagedStore, and Error when there is no store. */
export async function stats(dataDir: string): Promise<StoreStats> {
  return reading(dataDir, tables => {
    const { events, streams } = tables
    return {
      events: entryCount(events.getStats()),
      streams: entryCount(streams.getStats()),
      end: endOf(tables),
      bytes: statSync(join(dataDir, DATA_FILE)).size,
      first: createdAt(tables, false),
      latest: createdAt(tables, true),
      usedByPid: ownerPid(dataDir),
    }
  })
}

/**
 * Reads the whole store and checks every page, every event's checksum, the order of positions and revisions, and the
 * index. Works while a node runs on it. Throws only when there is no store to check.
 */
export async function verify(dataDir: string): Promise<VerifyReport> {
  try {
    return await reading(
      dataDir,
      tables => {
        const { problems, ...counts } = checkRecords(tables)
        return { ok: problems.length === 0, ...counts, problems }
      },
      'all',
    )
  } catch (error) {
    if (!(error instanceof DamagedStore)) throw error
    return { ok: false, events: 0, streams: 0, end: 0, problems: [error.message] }
  }
}

/**
 * Copies a store as of one moment into a new folder, also while a node runs on it, and verifies the copy. A node can be
 * started on the copy. The folder appears only once the copy is whole. Throws Error when it exists and is not empty.
 */
export async function backup(dataDir: string, destination: string): Promise<VerifyReport> {
  if (existsSync(destination) && readdirSync(destination).length > 0) throw new Error(`${destination} is not empty`)
  const partial = `${resolve(destination)}.partial-${process.pid}`
  mkdirSync(dirname(partial), { recursive: true })
  try {
    mkdirSync(partial, { mode: 0o700 })
    await reading(dataDir, tables => tables.env.backup(partial, true))
    const report = await verify(partial)
    rmSync(join(partial, 'lock.mdb'), { force: true })
    for (const path of [join(partial, DATA_FILE), partial]) syncToDisk(path)
    renameSync(partial, destination)
    syncToDisk(dirname(partial))
    return report
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

async function reading<T>(dataDir: string, work: (tables: Tables) => T | Promise<T>, depth?: 'all'): Promise<T> {
  if (!hasStore(dataDir)) throw new Error(`there is no event store in ${dataDir}`)
  checkStructure(dataDir, depth)
  const tables = openTables(dataDir, { readOnly: true })
  try {
    return await work(tables)
  } finally {
    await tables.env.close()
  }
}

function syncToDisk(path: string): void {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}

function entryCount(treeStats: object): number {
  return 'entryCount' in treeStats ? Number(treeStats.entryCount) : 0
}

function endOf({ events }: Tables): number {
  for (const { key, value } of events.getRange({ reverse: true, limit: 1 })) return key + value.length
  return 0
}

function createdAt({ events }: Tables, reverse: boolean): string | undefined {
  for (const { key, value } of events.getRange({ reverse, limit: 1 })) {
    return new Date(readHeader(unseal(value, key)).created / 10_000).toISOString()
  }
  return undefined
}
