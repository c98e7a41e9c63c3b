import { createHash } from 'node:crypto'
import { ARTIFACT_CHUNK_BYTES, ARTIFACT_MAX_BYTES } from '../schemas/bus.ts'
import type { Clock } from './clock.ts'
import { type Connection, inTransaction, type Pool } from './postgres.ts'

export type ArtifactErrorCode = 'too-large' | 'quota' | 'mismatch' | 'incomplete' | 'forbidden'

/** What is wrong with an upload; sending the same again does not help. */
export class ArtifactError extends Error {
  override name = 'ArtifactError'
  readonly code: ArtifactErrorCode
  constructor(code: ArtifactErrorCode, detail: string) {
    super(detail)
    this.code = code
  }
}

export type Upload = { uploadId: string /** Nobody else may add to it. */; owner: string }
export type Whole = { sha256: string; bytes: number }
/** Writes down what becomes of a file, before that is so; resolves when it is durable. */
export type RecordArtifact = (whole: Whole) => Promise<void>
export type ArtifactStore = {
  /** Takes a chunk; one that is there already stays as it is. Resolves when it is durable. Throws ArtifactError. */
  addChunk(upload: Upload, index: number, data: Buffer): Promise<void>
  /**
   * Checks the whole, has it recorded and makes it known under its SHA-256; a second time changes nothing. Rejects with
   * ArtifactError, and with what `record` rejects with: the file is not known then.
   */
  finish(upload: Upload, whole: Whole, record: RecordArtifact): Promise<void>
  /** Forgets an upload that will not be finished. */
  abandon(upload: Upload): Promise<void>
  /** Length of the whole; undefined when there is none. Counts as use. */
  bytesOf(sha256: string): Promise<number | undefined>
  /** One chunk; undefined when there is none. */
  chunk(sha256: string, index: number): Promise<{ bytes: number; data: Buffer } | undefined>
  /**
   * Removes what was not used for so many days, once that is recorded, and uploads that stopped a day ago. Answers how
   * many of both. Rejects with what `record` rejects with: what was to be recorded is still there.
   */
  purge(days: number, record: RecordArtifact): Promise<number>
}

const DAY_MS = 86_400_000
const UPLOAD_DAYS = 1
const CHUNKS_AT_ONCE = 16
/** Held by whoever adds to the store, so that two uploads cannot both take the last room. Any constant will do. */
const QUOTA_LOCK = 7_203_001

/** Files under their SHA-256 in Postgres, bounded by `quotaBytes` for all of them together. */
export function createArtifactStore(pool: Pool, clock: Clock, quotaBytes: number): ArtifactStore {
  return {
    addChunk: (upload, index, data) =>
      inTransaction(pool, connection => addChunk(connection, { upload, index, data, now: clock.now(), quotaBytes })),
    finish: (upload, whole, record) => finish({ pool, upload, whole, record, now: clock.now() }),
    abandon: upload => drop(pool, upload),
    bytesOf: async sha256 => {
      const { rows } = await pool.query<{ bytes: string }>(
        'update artifacts.artifact set last_used = $2 where sha256 = $1 returning bytes',
        [sha256, clock.now()],
      )
      return rows[0] && Number(rows[0].bytes)
    },
    chunk: async (sha256, index) => {
      const { rows } = await pool.query<{ bytes: string; data: Buffer }>(
        `select a.bytes, c.data from artifacts.artifact a join artifacts.artifact_chunk c using (upload_id)
         where a.sha256 = $1 and c.index = $2`,
        [sha256, index],
      )
      return rows[0] && { bytes: Number(rows[0].bytes), data: rows[0].data }
    },
    purge: (days, record) => purge({ pool, days, record, now: Date.parse(clock.now()) }),
  }
}

type Adding = { upload: Upload; index: number; data: Buffer; now: string; quotaBytes: number }

async function addChunk(connection: Connection, { upload, index, data, now, quotaBytes }: Adding): Promise<void> {
  const { uploadId, owner } = upload
  if (data.length === 0 || data.length > ARTIFACT_CHUNK_BYTES)
    throw new ArtifactError('too-large', 'a chunk is too long')
  if (index * ARTIFACT_CHUNK_BYTES + data.length > ARTIFACT_MAX_BYTES) {
    throw new ArtifactError('too-large', `an artifact has at most ${ARTIFACT_MAX_BYTES} bytes`)
  }
  await connection.query('select pg_advisory_xact_lock($1)', [QUOTA_LOCK])
  await connection.query(
    `insert into artifacts.artifact_upload (upload_id, owner, started_at) values ($1, $2, $3) on conflict do nothing`,
    [uploadId, owner, now],
  )
  const { rows } = await connection.query<{ owner: string; used: string }>(
    `select owner, (select coalesce(sum(bytes), 0) from artifacts.artifact)
       + (select coalesce(sum(bytes), 0) from artifacts.artifact_upload) as used
     from artifacts.artifact_upload where upload_id = $1`,
    [uploadId],
  )
  if (rows[0]?.owner !== owner) throw new ArtifactError('forbidden', 'the upload is somebody else’s')
  if (Number(rows[0].used) + data.length > quotaBytes) throw new ArtifactError('quota', 'the artifact store is full')
  await connection.query(
    `with added as (
       insert into artifacts.artifact_chunk (upload_id, index, data) values ($1, $2, $3) on conflict do nothing
       returning octet_length(data) as bytes)
     update artifacts.artifact_upload u set bytes = u.bytes + added.bytes from added where u.upload_id = $1`,
    [uploadId, index, data],
  )
}

type Finishing = { pool: Pool; upload: Upload; whole: Whole; record: RecordArtifact; now: string }

async function finish({ pool, upload, whole, record, now }: Finishing): Promise<void> {
  const { rows } = await pool.query<{ owner: string }>(
    'select owner from artifacts.artifact_upload where upload_id = $1',
    [upload.uploadId],
  )
  const known = rows[0]
  if (known && known.owner !== upload.owner) throw new ArtifactError('forbidden', 'the upload is somebody else’s')
  if (!known && (await isStored(pool, whole.sha256))) return
  if (!known && whole.bytes > 0) throw new ArtifactError('incomplete', 'nothing of this upload is known')
  const wrong = await problemOf(pool, upload.uploadId, whole)
  if (wrong) {
    if (wrong.code === 'mismatch') await drop(pool, upload)
    throw wrong
  }
  await inTransaction(pool, async connection => {
    const { rowCount } = await connection.query(
      `insert into artifacts.artifact (sha256, upload_id, bytes, created_at, last_used) values ($1, $2, $3, $4, $4)
       on conflict do nothing`,
      [whole.sha256, upload.uploadId, whole.bytes, now],
    )
    await connection.query('delete from artifacts.artifact_upload where upload_id = $1', [upload.uploadId])
    await record(whole)
    if (rowCount === 1) return
    // The same content was there: it counts as used, and one copy is enough.
    await connection.query('update artifacts.artifact set last_used = $2 where sha256 = $1', [whole.sha256, now])
    await connection.query(
      `delete from artifacts.artifact_chunk where upload_id = $1
       and not exists (select 1 from artifacts.artifact where upload_id = $1)`,
      [upload.uploadId],
    )
  })
}

async function isStored(pool: Pool, sha256: string): Promise<boolean> {
  return (await pool.query('select 1 from artifacts.artifact where sha256 = $1', [sha256])).rowCount === 1
}

/** Reads back what is to be promised. */
async function problemOf(pool: Pool, uploadId: string, { sha256, bytes }: Whole) {
  const hash = createHash('sha256')
  let next = 0
  let total = 0
  for (let more = true; more; ) {
    const { rows } = await pool.query<{ index: number; data: Buffer }>(
      `select index, data from artifacts.artifact_chunk where upload_id = $1 and index >= $2
       order by index limit ${CHUNKS_AT_ONCE}`,
      [uploadId, next],
    )
    for (const { index, data } of rows) {
      if (index !== next || total !== index * ARTIFACT_CHUNK_BYTES) {
        return new ArtifactError('incomplete', `chunk ${next} is missing or too short`)
      }
      hash.update(data)
      total += data.length
      next += 1
    }
    more = rows.length === CHUNKS_AT_ONCE
  }
  if (total < bytes) return new ArtifactError('incomplete', `${total} of ${bytes} bytes are there`)
  if (total === bytes && hash.digest('hex') === sha256) return undefined
  return new ArtifactError('mismatch', 'what came is not what its SHA-256 says')
}

async function drop(pool: Pool, { uploadId, owner }: Upload): Promise<void> {
  await pool.query(
    `with gone as (delete from artifacts.artifact_upload where upload_id = $1 and owner = $2 returning upload_id)
     delete from artifacts.artifact_chunk where upload_id in (select upload_id from gone)`,
    [uploadId, owner],
  )
}

type Purging = { pool: Pool; days: number; record: RecordArtifact; now: number }

async function purge({ pool, days, record, now }: Purging): Promise<number> {
  const before = (age: number) => new Date(now - age * DAY_MS).toISOString()
  const { rows } = await pool.query<{ count: string }>(
    `with left_over as (delete from artifacts.artifact_upload where started_at < $1 returning upload_id),
       chunks as (delete from artifacts.artifact_chunk where upload_id in (select upload_id from left_over))
     select count(*) from left_over`,
    [before(UPLOAD_DAYS)],
  )
  let removed = Number(rows[0]?.count ?? 0)
  const old = await pool.query<{ sha256: string }>('select sha256 from artifacts.artifact where last_used < $1', [
    before(days),
  ])
  for (const { sha256 } of old.rows)
    if (await inTransaction(pool, connection => remove(connection, sha256, before(days), record))) removed += 1
  return removed
}

/** False when it has been used or removed meanwhile. */
async function remove(connection: Connection, sha256: string, before: string, record: RecordArtifact) {
  const { rows } = await connection.query<{ upload_id: string; bytes: string }>(
    'delete from artifacts.artifact where sha256 = $1 and last_used < $2 returning upload_id, bytes',
    [sha256, before],
  )
  const [gone] = rows
  if (!gone) return false
  await connection.query('delete from artifacts.artifact_chunk where upload_id = $1', [gone.upload_id])
  await record({ sha256, bytes: Number(gone.bytes) })
  return true
}
