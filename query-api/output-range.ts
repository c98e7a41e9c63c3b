import { type ChunkRow, chunkColumns } from './output-chunk.ts'

type QueryRows = <Row>(text: string, values?: unknown[]) => Promise<Row[]>
export type AttemptKey = { runId: string; n: number; step: string; attempt: number }
/** Bytes `from` up to but without `to`. */
export type Range = { from: number; to: number }

const ofAttempt = 'run_id = $1 and n = $2 and step_id = $3 and attempt = $4'
const valuesOf = ({ runId, n, step, attempt }: AttemptKey) => [runId, n, step, attempt]
/** Chunks are at most some tens of kilobytes: what is read at once stays small. */
const CHUNKS_AT_ONCE = 32

/** The newest attempt of a step that printed anything or was started; undefined for none. */
export async function newestAttempt(query: QueryRows, runId: string, n: number, step: string) {
  const [row] = await query<{ attempt: number | null }>(
    `select greatest(
       (select max(attempt) from read_model.step_run where run_id = $1 and n = $2 and step_id = $3),
       (select max(attempt) from output.run_output where run_id = $1 and n = $2 and step_id = $3)) as attempt`,
    [runId, n, step],
  )
  return row?.attempt ?? undefined
}

/** How many bytes the finished attempt printed; undefined while that is not known. */
export async function sealedBytes(query: QueryRows, key: AttemptKey): Promise<number | undefined> {
  const [row] = await query<{ output_bytes: string | null }>(
    `select output_bytes from read_model.step_run where ${ofAttempt}`,
    valuesOf(key),
  )
  return row?.output_bytes == null ? undefined : Number(row.output_bytes)
}

/** How far what is stored of an attempt goes by now. */
export async function storedBytes(query: QueryRows, key: AttemptKey): Promise<number> {
  const [row] = await query<{ bytes: string }>(
    `select coalesce(max(byte_offset + octet_length(data)), 0) as bytes from output.run_output where ${ofAttempt}`,
    valuesOf(key),
  )
  return Number(row?.bytes ?? 0)
}

/** Where bytes are missing between chunks, or after the last one of a finished attempt. Reads no output. */
export async function gapsOf(query: QueryRows, key: AttemptKey, sealed: number | undefined): Promise<Range[]> {
  const rows = await query<{ begin: string; end: string }>(
    `with chunk as (
       select seq, byte_offset, byte_offset + octet_length(data) as following from output.run_output where ${ofAttempt})
     select * from (
       select coalesce(max(following) over (order by seq rows between unbounded preceding and 1 preceding), 0) as begin,
         byte_offset as end from chunk) each
     where begin < "end"
     union all select coalesce(max(following), 0), $5::bigint from chunk having coalesce(max(following), 0) < $5::bigint`,
    [...valuesOf(key), sealed ?? 0],
  )
  return rows.map(row => ({ from: Number(row.begin), to: Number(row.end) }))
}

export const clip = (gaps: readonly Range[], { from, to }: Range): Range[] =>
  gaps.map(gap => ({ from: Math.max(gap.from, from), to: Math.min(gap.to, to) })).filter(gap => gap.from < gap.to)

/** The chunks of a range, the first and the last one cut to it; read a few at a time. */
export async function* chunksOf(
  query: QueryRows,
  key: AttemptKey,
  { from, to }: Range,
  stream: string | undefined,
): AsyncGenerator<ChunkRow> {
  let seq = 0
  for (;;) {
    const rows = await query<ChunkRow>(
      `select ${chunkColumns} from output.run_output
       where ${ofAttempt} and seq > $5 and byte_offset < $6 and byte_offset + octet_length(data) > $7
       order by seq limit ${CHUNKS_AT_ONCE}`,
      [...valuesOf(key), seq, to, from],
    )
    for (const row of rows) if (stream === undefined || row.stream === stream) yield cut(row, from, to)
    seq = rows.at(-1)?.seq ?? seq
    if (rows.length < CHUNKS_AT_ONCE) return
  }
}

function cut(row: ChunkRow, from: number, to: number): ChunkRow {
  const begin = Number(row.byte_offset)
  const skip = Math.max(0, from - begin)
  const data = row.data.subarray(skip, Math.min(row.data.length, to - begin))
  return { ...row, byte_offset: String(begin + skip), data }
}
