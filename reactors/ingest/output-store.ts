import type { Pool } from '../../infra/postgres.ts'
import type { OutputChunk } from '../../schemas/bus.ts'

export type StoredChunk = OutputChunk & { outputSeq: string }

/** The identity of a chunk: an executor that got no answer sends it again. */
const keyOf = (c: Pick<OutputChunk, 'runId' | 'n' | 'stepId' | 'attempt' | 'seq'>) =>
  `${c.runId}.${c.n}.${c.stepId}.${c.attempt}.${c.seq}`

type Row = { output_seq: string; run_id: string; n: number; step_id: string; attempt: number; seq: number }

// Rows of one run are numbered in the order they are inserted; sorted by run, two writers cannot wait for each other.
const INSERT = `
  insert into output.run_output (run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data)
  select run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, decode(data, 'base64')
  from unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::int[], $6::int[], $7::text[], $8::bigint[],
              $9::timestamptz[], $10::text[])
    with ordinality as c(run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data, place)
  order by run_id, place
  on conflict (run_id, n, step_id, attempt, seq) do nothing
  returning output_seq, run_id, n, step_id, attempt, seq`

const KNOWN = `
  select o.output_seq, o.run_id, o.n, o.step_id, o.attempt, o.seq
  from unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::int[]) as c(run_id, n, step_id, attempt, seq)
  join output.run_output o using (run_id, n, step_id, attempt, seq)`

/**
 * Stores chunks in one statement; resolves once they are durable, with the number each one has in its run, in their
 * order. A chunk that is there already keeps its number and its first content.
 */
export async function storeOutput(pool: Pool, chunks: readonly OutputChunk[]): Promise<StoredChunk[]> {
  const distinct = [...new Map(chunks.map(chunk => [keyOf(chunk), chunk])).values()]
  const column = <K extends keyof OutputChunk>(name: K) => distinct.map(chunk => chunk[name])
  const key = [column('runId'), column('n'), column('stepId'), column('attempt')]
  const rest = [column('stream'), column('byteOffset'), column('at'), column('data')]
  const inserted = await pool.query<Row>(INSERT, [...key, column('epoch'), column('seq'), ...rest])
  const numbers = numbersOf(inserted.rows)
  if (numbers.size < distinct.length) {
    const known = await pool.query<Row>(KNOWN, [...key, column('seq')])
    for (const [chunk, number] of numbersOf(known.rows)) numbers.set(chunk, number)
  }
  return distinct.flatMap(chunk => {
    const outputSeq = numbers.get(keyOf(chunk))
    return outputSeq === undefined ? [] : [{ ...chunk, outputSeq }]
  })
}

function numbersOf(rows: readonly Row[]): Map<string, string> {
  return new Map(
    rows.map(({ run_id: runId, n, step_id: stepId, attempt, seq, output_seq: number }) => [
      keyOf({ runId, n, stepId, attempt, seq }),
      number,
    ]),
  )
}
